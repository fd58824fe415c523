"""From utterances to padded batches; what a batch holds is a pure function of (seed, epoch, index)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, overload

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from karussell.data.augment import Augment
from karussell.data.features import Features
from karussell.data.manifest import Utterance
from karussell.data.vocabulary import Vocabulary
from karussell.errors import InputError

# every use of a seed has a number of its own, so that two uses never draw the same values
ORDER, VARIATION = 0, 1
PASSED_OVER = -100


class Batch(NamedTuple):
    """Utterances side by side, time first."""

    x: torch.Tensor
    """Features [T, B, F] float32, zero beyond each length."""
    lengths: torch.Tensor
    """Frames of each utterance [B] int64."""
    targets: torch.Tensor
    """Label numbers [B, L] int64, zero beyond each target's length."""
    target_lengths: torch.Tensor
    """Labels of each utterance [B] int64."""
    alignment: torch.Tensor | None
    """The label of every frame [T, B] int64, blank between labels and -100 beyond each length (what torch's losses
    pass over); None where an utterance's `segments` are not known."""
    names: tuple[str, ...]
    """The ids of the utterances, for messages."""


@dataclass(frozen=True)
class Batches:
    """Which items stand together: items of like length share a batch, and every item comes once an epoch.

    Items are sorted by length, with a random factor of up to `mix` either way, and cut into batches; the batches are
    shuffled.
    """

    lengths: Sequence[int]
    """Frames of every item."""
    batch_frames: int | None = None
    """Most frames of a batch, padding included; a longer item stands alone."""
    batch_size: int | None = None
    """Most items of a batch."""
    seed: int = 0
    """The seed of all epochs."""
    mix: float = 0.1
    """How far lengths are mixed; 0 sorts strictly."""

    def __post_init__(self) -> None:
        limits = [limit for limit in (self.batch_frames, self.batch_size) if limit is not None]
        if not limits or min(limits) < 1:
            raise InputError(
                f"batches need batch_frames or batch_size of at least 1, got {self.batch_frames} and {self.batch_size}"
            )
        if len(self.lengths) == 0:
            raise InputError("batches need at least one item, got none")

    def epoch(self, epoch: int) -> list[list[int]]:
        """The batches of an epoch, each a list of item numbers; the same for the same (seed, epoch) at any time."""
        rng = np.random.default_rng([self.seed, epoch, ORDER])
        keys = np.asarray(self.lengths) * np.exp(rng.uniform(-self.mix, self.mix, len(self.lengths)))
        batches = self._cut(np.argsort(keys, kind="stable"))
        return [batches[k] for k in rng.permutation(len(batches))]

    def in_order(self) -> list[list[int]]:
        """The batches sorted by length, without chance: for evaluation."""
        return self._cut(np.argsort(np.asarray(self.lengths), kind="stable"))

    def _cut(self, order: np.ndarray) -> list[list[int]]:
        batches: list[list[int]] = []
        longest = 0
        for item in order.tolist():
            longest = max(longest, self.lengths[item])
            count = len(batches[-1]) + 1 if batches else 1
            full = self.batch_size is not None and count > self.batch_size
            wide = self.batch_frames is not None and count * longest > self.batch_frames
            if not batches or full or wide:
                batches.append([])
                longest = self.lengths[item]
            batches[-1].append(item)
        return batches


class Epoch(Sequence[Batch]):
    """The batches of one epoch; each is made when it is asked for, in any order, the same every time."""

    def __init__(self, plan: list[list[int]], make: Callable[[list[int]], Batch]) -> None:
        self.plan = plan
        self._make = make

    def __len__(self) -> int:
        return len(self.plan)

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> "Epoch": ...
    def __getitem__(self, index: int | slice) -> "Batch | Epoch":
        if isinstance(index, slice):
            return Epoch(self.plan[index], self._make)
        return self._make(self.plan[index])


@dataclass(frozen=True)
class Loader:
    """Utterances to batches: `loader.epoch(e)[i]` for training, `loader.in_order()` for evaluation.

    `utterances` is a list, or a function of the epoch where every epoch has its own, such as joined digits.
    Transcripts are encoded when an epoch begins, so an unknown character stops the run before its first step.
    """

    utterances: Sequence[Utterance] | Callable[[int], Sequence[Utterance]]
    """The data."""
    vocabulary: Vocabulary
    """The labels."""
    features: Features
    """What the model sees."""
    augment: Augment | None = None
    """Variation, drawn for (seed, epoch, utterance); None for none."""
    batch_frames: int | None = None
    """Most frames of a batch, padding included."""
    batch_size: int | None = None
    """Most utterances of a batch."""
    seed: int = 0
    """The seed of all epochs."""

    def epoch(self, epoch: int) -> Epoch:
        """The shuffled, augmented batches of an epoch."""
        utterances, batches, targets = self._prepared(epoch)
        return Epoch(batches.epoch(epoch), partial(self._batch, utterances, targets, epoch))

    def in_order(self) -> Epoch:
        """Every utterance once, sorted by length, without augmentation; `plan` says which stands where."""
        utterances, batches, targets = self._prepared(0)
        return Epoch(batches.in_order(), partial(self._batch, utterances, targets, None))

    def _prepared(self, epoch: int) -> tuple[Sequence[Utterance], Batches, list[list[int]]]:
        utterances = self.utterances(epoch) if callable(self.utterances) else self.utterances
        if not utterances:
            raise InputError("there are no utterances to make batches of; check the manifest or the split")
        targets = [self.vocabulary.encode(utterance.text, utterance.id) for utterance in utterances]
        bank = self.features.bank
        lengths = [bank.frames(round(utterance.seconds() * bank.rate)) for utterance in utterances]
        return utterances, Batches(lengths, self.batch_frames, self.batch_size, self.seed), targets

    def _batch(
        self, utterances: Sequence[Utterance], targets: list[list[int]], epoch: int | None, items: list[int]
    ) -> Batch:
        rows = [self._row(utterances[k], epoch, k) for k in items]
        x, lengths = pad([row for row, _ in rows])
        ids = [torch.tensor(targets[k]) for k in items]
        labels = [torch.from_numpy(label) for _, label in rows if label is not None]
        return Batch(
            x,
            lengths,
            pad_sequence(ids, batch_first=True),
            torch.tensor([len(row) for row in ids]),
            pad_sequence(labels, padding_value=PASSED_OVER) if len(labels) == len(rows) else None,
            tuple(utterances[k].id for k in items),
        )

    def _row(self, utterance: Utterance, epoch: int | None, item: int) -> tuple[np.ndarray, np.ndarray | None]:
        samples = utterance.samples(self.features.bank.rate)
        labels = self._labels(utterance, self.features.bank.frames(len(samples)))
        if self.augment is None or epoch is None:
            return self.features(samples), labels
        # keyed by the item and not by its place in a batch, so that batching does not change the data
        rng = np.random.default_rng([self.seed, epoch, VARIATION, item])
        x, source = self.augment(samples, self.features, rng)
        return x, None if labels is None else labels[source]

    def _labels(self, utterance: Utterance, frames: int) -> np.ndarray | None:
        labels = np.full(frames, self.vocabulary.blank, np.int64)
        centres = (np.arange(frames) + 0.5) * self.features.bank.frame_seconds
        for segment in utterance.segments:
            ids = self.vocabulary.encode(segment.text, utterance.id)
            if len(ids) != 1:
                return None
            labels[(segment.start <= centres) & (centres < segment.end)] = ids[0]
        return labels if utterance.segments else None


def pad(rows: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Features [T_b, F] of B utterances to ([T, B, F] float32, zero beyond, and lengths [B] int64)."""
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    x = torch.zeros(int(lengths.max()), len(rows), rows[0].shape[1])
    for b, row in enumerate(rows):
        x[: len(row), b] = torch.from_numpy(row)
    return x, lengths
