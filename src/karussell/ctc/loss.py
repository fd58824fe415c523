"""The CTC loss of Graves et al. (ICML 2006), with every target and length checked before torch's kernel runs.

A path gives one label or a blank to each frame. Merging repeats and dropping blanks, B(path), turns it into
a label sequence l, and

    p(l | x) = sum over paths with B(path) = l of prod_t y[t, path[t]],        loss = -log p(l | x).

The arithmetic is `torch.nn.functional.ctc_loss`. What that function does not do is look at its input: labels
out of range read foreign memory, a blank inside a target is accepted, and a target too long for its frames
gives an infinite loss and a gradient of NaN in the whole row. Here each of them is an error that names the
utterance.

Gradients are right only when `log_probs` comes from `log_softmax`: the kernel returns y - occupancy, the
gradient with respect to the softmax's input, and relies on log_softmax to pass it on unchanged. So the first
frame is checked to sum to one. There is no second derivative and no forward mode. On CUDA the backward pass
adds in no fixed order, so that two runs can differ in the last bits.
"""

import warnings
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from karussell.ctc.targets import Targets, check_targets, utterance
from karussell.errors import InputError

Reduction = Literal["mean", "sum", "none"]
Impossible = Literal["raise", "warn", "zero"]


class CTCResult(NamedTuple):
    """Row by row [B]: `losses` in nats, 0 where `impossible` (bool) is true, and `target_lengths`."""

    losses: Tensor
    impossible: Tensor
    target_lengths: Tensor


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor | Sequence[Tensor | Sequence[int]],
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int] | None = None,
    *,
    blank: int = 0,
    reduction: Reduction = "mean",
    impossible: Impossible = "raise",
    names: Sequence[str] | None = None,
) -> Tensor:
    """Compute -log p(target | x) for log-probabilities [T, B, K], time first, as log_softmax gives them.

    `targets` is a list of B sequences, a padded tensor [B, L] or a concatenated tensor [sum of lengths]; the
    two tensors need `target_lengths` [B]. A target may be empty. Frames beyond `input_lengths` [B] are never
    looked at.

    `reduction="mean"` is torch's: each loss divided by its target's length (at least 1), then averaged over
    all B rows. `"sum"` adds the losses, `"none"` returns them as [B].

    A row is impossible when its target needs more frames than there are: one a label, and a blank between
    two equal neighbours; or when probabilities of exactly 0 close every path. `"raise"` is an InputError,
    `"warn"` and `"zero"` give the row a loss and a gradient of exactly 0. `ctc_loss_rows` also returns which
    rows they were. `names` are the utterances' names for the messages. Half precision is computed in
    float32.
    """
    if reduction not in ("mean", "sum", "none"):
        raise InputError(f"ctc_loss: reduction is {reduction!r}; it must be 'mean', 'sum' or 'none'.")
    result = ctc_loss_rows(
        log_probs, targets, input_lengths, target_lengths, blank=blank, impossible=impossible, names=names
    )
    if reduction == "none":
        return result.losses
    if reduction == "sum":
        return result.losses.sum()
    return (result.losses / result.target_lengths.clamp(min=1)).mean()


def ctc_loss_rows(
    log_probs: Tensor,
    targets: Tensor | Sequence[Tensor | Sequence[int]],
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int] | None = None,
    *,
    blank: int = 0,
    impossible: Impossible = "raise",
    names: Sequence[str] | None = None,
) -> CTCResult:
    """Compute the losses as `ctc_loss` does, unreduced, together with the mask of impossible rows."""
    if impossible not in ("raise", "warn", "zero"):
        raise InputError(f"ctc_loss: impossible is {impossible!r}; it must be 'raise', 'warn' or 'zero'.")
    if log_probs.dim() != 3 or not log_probs.is_floating_point():
        raise InputError(
            f"ctc_loss: log_probs is {list(log_probs.shape)} {log_probs.dtype}; it must be floating-point "
            "[T, B, K], time first. One utterance alone is [T, 1, K]."
        )
    frames, batch, classes = log_probs.shape
    if batch == 0:
        raise InputError("ctc_loss: the batch is empty (B = 0); leave empty batches out.")
    if frames == 0:
        raise InputError("ctc_loss: log_probs has no frame (T = 0); it must be [T, B, K] with T of at least 1.")
    checked = check_targets(
        targets,
        input_lengths,
        target_lengths,
        batch=batch,
        frames=frames,
        classes=classes,
        blank=blank,
        names=names,
    )
    _check_normalised(log_probs, checked, names)
    missing = checked.frames_needed - checked.input_lengths
    if impossible == "raise" and bool((missing > 0).any()):
        raise InputError(_too_long(checked, missing, names))

    x = log_probs.float() if log_probs.dtype in (torch.float16, torch.bfloat16) else log_probs
    losses = _kernel(x, checked, blank, zero_infinity=False)
    mask = torch.isinf(losses.detach()) | (missing > 0).to(losses.device)
    if bool(mask.any()):
        message = _closed(mask, checked, missing, names)
        if impossible == "raise":
            raise InputError(message)
        if impossible == "warn":
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        # run again: an infinite loss times a gradient of zero would still put NaN into the row
        losses = _kernel(x, checked, blank, zero_infinity=True)
    return CTCResult(losses, mask, checked.target_lengths.to(losses.device))


def _kernel(x: Tensor, targets: Targets, blank: int, *, zero_infinity: bool) -> Tensor:
    # int64 throughout: int32 targets on the CPU would send a CUDA input to cuDNN, which has other limits
    return functional.ctc_loss(
        x,
        targets.labels.to(x.device),
        targets.input_lengths,
        targets.target_lengths,
        blank=blank,
        reduction="none",
        zero_infinity=zero_infinity,
    )


def _check_normalised(log_probs: Tensor, targets: Targets, names: Sequence[str] | None) -> None:
    # one frame is enough to tell log-probabilities from logits and from probabilities; all would cost a pass
    total = log_probs.detach()[0].float().logsumexp(-1).exp()
    tolerance = 1e-3 if log_probs.dtype in (torch.float32, torch.float64) else 5e-2
    wrong = ((total - 1).abs() > tolerance) & (targets.input_lengths > 0).to(total.device)
    if bool(wrong.any()):
        b = int(wrong.nonzero()[0])
        raise InputError(
            f"ctc_loss: the probabilities in the first frame of {utterance(b, names)} sum to "
            f"{float(total[b]):.4g}, not 1, and the gradient would be wrong. Pass the output of log_softmax(dim=-1)."
        )


def _too_long(targets: Targets, missing: Tensor, names: Sequence[str] | None) -> str:
    rows = (missing > 0).nonzero().flatten().tolist()
    b = rows[0]
    needed, length = int(targets.frames_needed[b]), int(targets.target_lengths[b])
    repeats = needed - length
    equal = f" with {repeats} between equal neighbours" if repeats else ""
    return (
        f"ctc_loss: {utterance(b, names)} has {int(targets.input_lengths[b])} frames, but its target of "
        f"{length} labels{equal} needs {needed}{_and_more(len(rows))}. "
        "Use a network that subsamples less, shorten the target, or pass impossible='warn' or 'zero'."
    )


def _closed(mask: Tensor, targets: Targets, missing: Tensor, names: Sequence[str] | None) -> str:
    if bool((missing > 0).any()):
        return _too_long(targets, missing, names)
    rows = mask.nonzero().flatten().tolist()
    return (
        "ctc_loss: probabilities of exactly 0 leave no path through "
        f"{utterance(rows[0], names)}{_and_more(len(rows))}; its loss is infinite. "
        "Look for -inf in log_probs, or pass impossible='warn' or 'zero'."
    )


def _and_more(count: int) -> str:
    return f" (and {count - 1} more in this batch)" if count > 1 else ""
