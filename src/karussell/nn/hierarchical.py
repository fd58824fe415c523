"""Hierarchical CTC: networks on top of each other, each with labels of its own (Fernández, Graves & Schmidhuber 2007).

S. Fernández, A. Graves and J. Schmidhuber, "Sequence labelling in structured domains with hierarchical recurrent neural
networks", IJCAI 2007: phones below, words above.

    y_1 = softmax(W_1 h_1 + b_1),  h_1 = BLSTM_1(x)
    y_i = softmax(W_i h_i + b_i),  h_i = BLSTM_i(y_{i-1})            the blank is an input as any label is
    loss = sum over levels of weight_i CTC(y_i, target_i)

All levels learn together: the error of a level flows through those below it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from karussell.ctc import ctc_loss
from karussell.ctc.loss import Impossible, Reduction
from karussell.errors import InputError
from karussell.nn.lstm import LSTM

Targets = Tensor | Sequence[Tensor | Sequence[int]]


@dataclass(frozen=True)
class Level:
    """One network of the hierarchy."""

    labels: int
    """Labels, without the blank, which is class 0."""
    hidden: int = 100
    """Units of the LSTM in each direction."""
    weight: float = 1.0
    """How much its loss counts; 0 for a level without targets."""

    def __post_init__(self) -> None:
        if self.labels < 1 or self.hidden < 1 or self.weight < 0:
            raise InputError(
                f"Level: labels is {self.labels}, hidden {self.hidden} and weight {self.weight}; labels and hidden "
                "must be 1 or larger, weight 0 or larger"
            )


class LevelLosses(NamedTuple):
    """`total` is the weighted sum that is minimised, `levels` the losses it is made of, lowest level first."""

    total: Tensor
    levels: tuple[Tensor, ...]


class HierarchicalCTC(nn.Module):
    """Inputs [T, B, inputs] and lengths [B] in, log-probabilities [T, B, labels + 1] of every level out."""

    def __init__(self, inputs: int, levels: Sequence[Level], *, bidirectional: bool = True) -> None:
        super().__init__()
        if not levels:
            raise InputError("HierarchicalCTC: levels is empty; there must be one or more")
        self.levels = tuple(levels)
        below = [inputs, *(level.labels + 1 for level in self.levels[:-1])]
        self.lstms = nn.ModuleList(
            LSTM(size, level.hidden, bidirectional=bidirectional)
            for size, level in zip(below, self.levels, strict=True)
        )
        width = 2 if bidirectional else 1
        self.outputs = nn.ModuleList(nn.Linear(width * v.hidden, v.labels + 1) for v in self.levels)

    def forward(self, x: Tensor, lengths: Tensor | Sequence[int]) -> tuple[Tensor, ...]:
        """The lowest level first; what lies beyond a length changes nothing within it."""
        found = []
        for lstm, output in zip(self.lstms, self.outputs, strict=True):
            h, _ = lstm(x, lengths=lengths)
            found.append(output(h).float().log_softmax(-1))
            x = found[-1].exp().to(x.dtype)
        return tuple(found)

    def loss(
        self,
        log_probs: Sequence[Tensor],
        targets: Sequence[Targets | None],
        lengths: Tensor | Sequence[int],
        target_lengths: Sequence[Tensor | Sequence[int] | None] | None = None,
        *,
        reduction: Reduction = "mean",
        impossible: Impossible = "raise",
        names: Sequence[str] | None = None,
    ) -> LevelLosses:
        """The losses of what `forward` gave; a level of weight 0 needs no targets and counts 0.

        `targets` and `target_lengths` have an entry a level, each as `ctc_loss` takes it; lengths are those of the
        input, for no level shortens time.
        """
        count = len(self.levels)
        given = target_lengths if target_lengths is not None else [None] * count
        for name, value in (("log_probs", log_probs), ("targets", targets), ("target_lengths", given)):
            if len(value) != count:
                raise InputError(
                    f"HierarchicalCTC: {len(value)} {name} came for {count} levels; one is needed for each"
                )
        losses = []
        for number, (level, lp, target, n) in enumerate(zip(self.levels, log_probs, targets, given, strict=True)):
            if target is None and level.weight:
                raise InputError(
                    f"HierarchicalCTC: level {number} has no targets, but its weight is {level.weight}; "
                    "give targets, or make the level with weight=0"
                )
            if target is None:
                losses.append(lp.new_zeros(lp.shape[1] if reduction == "none" else ()))
                continue
            losses.append(ctc_loss(lp, target, lengths, n, reduction=reduction, impossible=impossible, names=names))
        weighed = [level.weight * v for level, v in zip(self.levels, losses, strict=True) if level.weight]
        total = torch.stack(weighed).sum(0) if weighed else losses[0] * 0
        return LevelLosses(total, tuple(losses))
