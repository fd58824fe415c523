"""Many sequences laid end to end: what every generated problem gives, and what both kinds of training take."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np


class Padded(NamedTuple):
    """The same sequences side by side: x [T, B, I], lengths [B], due [T, B], targets [T, B, K], float32."""

    x: np.ndarray
    lengths: np.ndarray
    due: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Sequences:
    """N sequences, S steps in all, I inputs, K outputs.

    starts    [N + 1]: sequence n has the steps starts[n] ... starts[n + 1] - 1
    inputs    I
    due       [S] booleans: at which steps a target stands
    targets   [due.sum(), K], in the order of the steps
    symbols   [S] int32: the input is one-hot, and only its place is stored
    x         [S, I]: inputs that are not one-hot; one of the two is given
    """

    starts: np.ndarray
    inputs: int
    due: np.ndarray
    targets: np.ndarray
    symbols: np.ndarray | None = None
    x: np.ndarray | None = None

    def __post_init__(self) -> None:
        if (self.symbols is None) == (self.x is None):
            raise ValueError("Sequences: give either symbols or x")
        if len(self.targets) != int(self.due.sum()) or len(self.due) != self.starts[-1]:
            raise ValueError(
                f"Sequences: {len(self.targets)} targets and {len(self.due)} flags came for {int(self.due.sum())} "
                f"steps that are due among {self.starts[-1]}"
            )

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each sequence, [N]."""
        return np.diff(self.starts)

    @cached_property
    def owner(self) -> np.ndarray:
        """Which sequence each target belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)[self.due]

    @cached_property
    def dense(self) -> np.ndarray:
        """The inputs written out, [S, I]."""
        if self.x is not None:
            return self.x
        assert self.symbols is not None
        return one_hot(self.symbols, self.inputs)

    def chosen(self, which: np.ndarray) -> "Sequences":
        """Some of the sequences, in the order of their numbers `which`; one may come more than once."""
        lengths = self.lengths[which]
        starts = from_lengths(lengths)
        steps = np.arange(starts[-1]) + np.repeat(self.starts[which] - starts[:-1], lengths)
        due = self.due[steps]
        rows = (np.cumsum(self.due) - 1)[steps][due]
        symbols = None if self.symbols is None else self.symbols[steps]
        return Sequences(
            starts, self.inputs, due, self.targets[rows], symbols, None if self.x is None else self.x[steps]
        )

    def worst(self, y: np.ndarray) -> np.ndarray:
        """The greatest |target - y| of each sequence, [N]; y is [due.sum(), K]."""
        error = np.abs(self.targets - y).max(axis=1)
        found = np.zeros(len(self))
        np.maximum.at(found, self.owner, error)
        return found

    def mean(self, y: np.ndarray) -> np.ndarray:
        """The mean |target - y| of each sequence, [N]."""
        error = np.abs(self.targets - y).mean(axis=1)
        return np.bincount(self.owner, error, len(self)) / np.maximum(np.bincount(self.owner, minlength=len(self)), 1)

    def padded(self) -> Padded:
        """One row a sequence, time first; steps beyond an end are zero and not due."""
        lengths, total = self.lengths, int(self.lengths.max())
        rows = np.repeat(np.arange(len(self)), lengths)
        steps = np.arange(self.starts[-1]) - np.repeat(self.starts[:-1], lengths)
        x = np.zeros((total, len(self), self.inputs), np.float32)
        if self.symbols is not None:
            x[steps, rows, self.symbols] = 1.0
        else:
            x[steps, rows] = self.x
        due = np.zeros((total, len(self)), bool)
        due[steps, rows] = self.due
        targets = np.zeros((total, len(self), self.targets.shape[1]), np.float32)
        targets[steps[self.due], rows[self.due]] = self.targets
        return Padded(x, lengths, due, targets)


def from_lengths(lengths: np.ndarray | Sequence[int]) -> np.ndarray:
    """`starts` of sequences of these lengths."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def last_steps(starts: np.ndarray) -> np.ndarray:
    """`due` where each sequence has one target, at its end."""
    due = np.zeros(int(starts[-1]), bool)
    due[starts[1:] - 1] = True
    return due


def one_hot(symbols: np.ndarray, classes: int) -> np.ndarray:
    """Rows that are 1 at their symbol and 0 elsewhere."""
    rows = np.zeros((len(symbols), classes))
    rows[np.arange(len(symbols)), symbols] = 1.0
    return rows
