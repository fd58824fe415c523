"""Sequences to padded batches; what a batch holds is a pure function of (seed, epoch, index)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from karussell.data.batches import Batches, Epoch, pad
from karussell.data.labelled import Example
from karussell.tasks.sequences.inputs import Inputs, Row
from karussell.tasks.sequences.scaling import fill
from karussell.tasks.sequences.vary import Vary
from karussell.tasks.sequences.words import NOTHING, UNKNOWN

# every use of a seed has a number of its own
VARIATION = 1


class Batch(NamedTuple):
    """Sequences side by side, time first."""

    values: Tensor
    """Measurements [T, B, D] float32, zero beyond each length; D may be 0."""
    numbers: Tensor
    """Token numbers [T, B, N] int64, NOTHING beyond each length; N may be 0."""
    spellings: Tensor
    """Letter numbers [L, U] int64 of the U different words of this batch; U is 0 without words."""
    spelling_lengths: Tensor
    """Letters of each word [U] int64."""
    words: Tensor
    """Which of the U words stands where, [T, B] int64, 0 beyond each length."""
    lengths: Tensor
    """Steps of each sequence [B] int64."""
    answers: Tensor
    """Label numbers [B], or [T, B] with a label a step, int64; -1 where unknown or beyond a length."""
    items: Tensor
    """The place of each sequence in its list, [B] int64."""


@dataclass(frozen=True)
class Loader:
    """Examples to batches: `epoch(e)[i]` varied for training, `in_order()` for everything else."""

    examples: Sequence[Example]
    inputs: Inputs
    answers: Sequence[Sequence[int]]
    """Label numbers of each example, one or one a step; empty where nothing is known."""
    per_step: bool
    batch_size: int
    seed: int = 0
    vary: Vary | None = None
    """Variation of measurements."""
    word_dropout: float = 0.0
    """A word seen n times becomes unknown with probability a / (a + n) (Kiperwasser and Goldberg 2016)."""

    def epoch(self, epoch: int) -> Sequence[Batch]:
        """The batches of one epoch of training."""
        return self._made(self._plan().epoch(epoch), epoch)

    def in_order(self) -> Sequence[Batch]:
        """Every example once, as it is, sorted by length."""
        return self._made(self._plan().in_order(), None)

    def _made(self, plan: list[list[int]], epoch: int | None) -> Sequence[Batch]:
        # a batch is made when it is asked for, so that data of any size needs the memory of one
        return cast(Sequence[Batch], Epoch(plan, lambda items: self._batch(items, epoch)))  # type: ignore[arg-type, return-value]

    def _plan(self) -> Batches:
        lengths = [example.steps for example in self.examples]
        return Batches(lengths, batch_size=self.batch_size, seed=self.seed)

    def _batch(self, items: Sequence[int], epoch: int | None) -> Batch:
        rows = [self._row(item, epoch) for item in items]
        known = {word: k for k, word in enumerate(sorted({word for row in rows for word in row.words}))}
        letters, letter_lengths = _padded([self.inputs.letters.numbers(word) for word in known])
        values, lengths = pad([row.values for row in rows])
        numbers = torch.full((*values.shape[:2], len(self.inputs.columns)), NOTHING)
        words = torch.zeros(values.shape[:2], dtype=torch.int64)
        for b, row in enumerate(rows):
            numbers[: len(row.numbers), b] = torch.from_numpy(row.numbers)
            words[: len(row.words), b] = torch.tensor([known[word] for word in row.words], dtype=torch.int64)
        if self.per_step:
            answers = torch.full(values.shape[:2], -1)
            for b, item in enumerate(items):
                answers[: len(self.answers[item]), b] = torch.tensor(self.answers[item])
        else:
            answers = torch.tensor([self.answers[item][0] if self.answers[item] else -1 for item in items])
        return Batch(values, numbers, letters, letter_lengths, words, lengths, answers, torch.tensor(items))

    def _row(self, item: int, epoch: int | None) -> Row:
        example = self.examples[item]
        if epoch is None:
            return self.inputs(example)
        # keyed by the item and not by its place in a batch, so that batching does not change the data
        rng = np.random.default_rng([self.seed, epoch, VARIATION, item])
        if self.vary is not None and example.values is not None and not self.per_step:
            gaps = np.isnan(example.values)
            varied = self.vary(fill(example.values), rng)
            # the gaps stay where they were, as near as time was bent
            example = Example(example.id, np.where(gaps, np.nan, varied), example.columns)
        row = self.inputs(example)
        if self.word_dropout and self.inputs.columns:
            counts = np.array([0, 0, *self.inputs.columns[0].counts], np.float64)[row.numbers[:, 0]]
            rare = rng.random(len(counts)) < self.word_dropout / (self.word_dropout + counts)
            row.numbers[rare, 0] = UNKNOWN
        return row


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    found = torch.zeros(int(lengths.max()) if rows else 0, len(rows), dtype=torch.int64)
    for u, row in enumerate(rows):
        found[: len(row), u] = torch.tensor(row)
    return found, lengths
