"""Targets of the CTC loss, brought from any of three forms into one, with every label and length checked."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from karussell.errors import InputError


class Targets(NamedTuple):
    """Concatenated `labels` [sum of lengths] and three counts a row [B]; all int64 on the CPU.

    `frames_needed` is the target's length plus the number of equal neighbours, which need a blank between
    them.
    """

    labels: Tensor
    target_lengths: Tensor
    input_lengths: Tensor
    frames_needed: Tensor


def check_targets(
    targets: Tensor | Sequence[Tensor | Sequence[int]],
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int] | None,
    *,
    batch: int,
    frames: int,
    classes: int,
    blank: int,
    names: Sequence[str] | None,
) -> Targets:
    """Check targets and lengths against log-probabilities [frames, batch, classes]; concatenate the targets.

    Raises InputError, naming the utterance, for a length outside its bounds, a label outside 0 … classes - 1
    and a blank inside a target. Whether a target fits into its frames is for the caller to judge.
    """
    if not 0 <= blank < classes:
        raise InputError(f"ctc_loss: blank is {blank}, but log_probs has {classes} classes, 0 to {classes - 1}.")
    if names is not None and len(names) != batch:
        raise InputError(f"ctc_loss: {len(names)} names came for a batch of {batch}.")
    n_frames = _lengths(input_lengths, "input_lengths", batch)
    _bound(n_frames, "input_lengths", frames, f"log_probs has {frames} frames", names)
    labels, n_labels = _concatenate(targets, target_lengths, batch, names)

    row = torch.repeat_interleave(torch.arange(batch), n_labels)
    _refuse((labels < 0) | (labels >= classes), labels, row, f"outside 0 to {classes - 1}", names)
    _refuse(labels == blank, labels, row, "the blank, which a target cannot hold", names)
    repeats = torch.zeros(batch, dtype=torch.int64)
    same = (labels[1:] == labels[:-1]) & (row[1:] == row[:-1])
    repeats.index_add_(0, row[1:], same.long())
    return Targets(labels, n_labels, n_frames, n_labels + repeats)


class Plain(NamedTuple):
    """`labels` concatenated or padded [B, L], and two lengths a row [B]; int64, contiguous, on the CPU."""

    labels: Tensor
    input_lengths: Tensor
    target_lengths: Tensor


def plain_targets(
    targets: Tensor | Sequence[Tensor | Sequence[int]],
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int] | None,
    batch: int,
) -> Plain | None:
    """Bring targets into their form with no value looked at; None for what only `check_targets` can judge."""
    if isinstance(targets, Tensor):
        labels = _plain(targets)
        padded = labels is not None and labels.dim() == 2 and labels.shape[0] == batch
        if labels is None or target_lengths is None or not (padded or labels.dim() == 1):
            return None
        lengths = _plain(target_lengths)
    else:
        if len(targets) != batch or target_lengths is not None or not all(isinstance(t, list | tuple) for t in targets):
            return None
        labels = _plain([k for t in targets for k in t])
        lengths = torch.tensor([len(t) for t in targets])
    frames = _plain(input_lengths)
    if labels is None or lengths is None or frames is None or lengths.shape != (batch,) or frames.shape != (batch,):
        return None
    return Plain(labels, frames, lengths)


def _plain(values: Tensor | Sequence[int]) -> Tensor | None:
    if not isinstance(values, Tensor):
        if not isinstance(values, list | tuple) or not all(type(v) is int for v in values):
            return None
        return torch.tensor(values, dtype=torch.int64)
    if values.dtype == torch.int64 and values.device.type == "cpu":
        return values.contiguous()
    return values.to("cpu", torch.int64).contiguous() if values.dtype == torch.int32 else None


def utterance(b: int, names: Sequence[str] | None) -> str:
    """Name row b for a message."""
    return f"utterance {b}" if names is None else f"utterance {b} ({names[b]!r})"


def _concatenate(
    targets: Tensor | Sequence[Tensor | Sequence[int]],
    target_lengths: Tensor | Sequence[int] | None,
    batch: int,
    names: Sequence[str] | None,
) -> tuple[Tensor, Tensor]:
    if not isinstance(targets, Tensor):
        return _from_list(targets, target_lengths, batch, names)
    if target_lengths is None:
        raise InputError(
            "ctc_loss: targets is a tensor, so target_lengths [B] is needed; only a list tells its lengths."
        )
    labels = _integers(targets, "targets")
    lengths = _lengths(target_lengths, "target_lengths", batch)
    if labels.dim() == 2 and labels.shape[0] == batch:
        width = labels.shape[1]
        _bound(lengths, "target_lengths", width, f"targets is padded to {width}", names)
        return labels[torch.arange(width) < lengths[:, None]], lengths
    if labels.dim() != 1:
        raise InputError(
            f"ctc_loss: targets is {list(labels.shape)}; it must be a list of {batch} sequences, padded "
            f"[{batch}, L], or concatenated [sum of target_lengths]."
        )
    _bound(lengths, "target_lengths", len(labels), f"targets holds {len(labels)} labels in all", names)
    if int(lengths.sum()) != len(labels):
        raise InputError(
            f"ctc_loss: the concatenated targets hold {len(labels)} labels, but target_lengths add up to "
            f"{int(lengths.sum())}."
        )
    return labels, lengths


def _from_list(
    targets: Sequence[Tensor | Sequence[int]],
    target_lengths: Tensor | Sequence[int] | None,
    batch: int,
    names: Sequence[str] | None,
) -> tuple[Tensor, Tensor]:
    if len(targets) != batch:
        raise InputError(f"ctc_loss: {len(targets)} targets came for a batch of {batch}.")
    rows = []
    for b, target in enumerate(targets):
        row = _integers(target, f"the target of {utterance(b, names)}")
        if row.dim() != 1:
            raise InputError(f"ctc_loss: the target of {utterance(b, names)} is {list(row.shape)}; it must be [L].")
        rows.append(row)
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    if target_lengths is not None:
        given = _lengths(target_lengths, "target_lengths", batch)
        if not torch.equal(given, lengths):
            b = int((given != lengths).nonzero()[0])
            raise InputError(
                f"ctc_loss: the target of {utterance(b, names)} has {int(lengths[b])} labels, "
                f"but target_lengths says {int(given[b])}."
            )
    return torch.cat(rows), lengths


def _lengths(values: Tensor | Sequence[int], what: str, batch: int) -> Tensor:
    lengths = _integers(values, what)
    if lengths.shape != (batch,):
        raise InputError(f"ctc_loss: {what} is {list(lengths.shape)}; it must be [{batch}], one number an utterance.")
    return lengths


def _integers(values: Tensor | Sequence[int], what: str) -> Tensor:
    tensor = values.detach() if isinstance(values, Tensor) else torch.as_tensor(values)
    # an empty list arrives as float
    if tensor.numel() and (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool):
        raise InputError(f"ctc_loss: {what} is {tensor.dtype}; it must hold integers.")
    return tensor.to(device="cpu", dtype=torch.int64)


def _bound(lengths: Tensor, what: str, most: int, why: str, names: Sequence[str] | None) -> None:
    wrong = (lengths < 0) | (lengths > most)
    if bool(wrong.any()):
        b = int(wrong.nonzero()[0])
        need = "it cannot be negative" if lengths[b] < 0 else f"but {why}"
        raise InputError(f"ctc_loss: {what} of {utterance(b, names)} is {int(lengths[b])}; {need}.")


def _refuse(wrong: Tensor, labels: Tensor, row: Tensor, why: str, names: Sequence[str] | None) -> None:
    if bool(wrong.any()):
        at = int(wrong.nonzero()[0])
        b = int(row[at])
        place = at - int((row < b).sum())
        raise InputError(
            f"ctc_loss: label {int(labels[at])} at place {place} of the target of {utterance(b, names)} is {why}."
        )
