"""A flat start: at first the network learns frame by frame, from a rough guess of where the labels lie.

Alone, the CTC loss begins on a plateau where the network says the blank to everything, and on little data it may
never leave it. So the first epochs use cross-entropy against an alignment: the true places of the labels where the
data knows them (`Batch.alignment`), and the labels spread evenly over the louder half of the frames otherwise. The flat
start of Gaussian-mixture recognisers (Young et al., The HTK Book) is the same idea.
"""

from collections.abc import Sequence
from typing import NamedTuple, overload

import torch
from torch import Tensor
from torch.nn import functional

from karussell.data.batches import PASSED_OVER, Batch


class Aligned(NamedTuple):
    """A batch, and the label of each output frame [T', B]; PASSED_OVER beyond the length."""

    batch: Batch
    labels: Tensor


class AlignedEpoch(Sequence[Aligned]):
    """The batches of an epoch, each with the labels of its output frames."""

    def __init__(self, batches: Sequence[Batch], subsampling: int, blank: int) -> None:
        self._batches, self._subsampling, self._blank = batches, subsampling, blank

    def __len__(self) -> int:
        return len(self._batches)

    @overload
    def __getitem__(self, index: int) -> Aligned: ...
    @overload
    def __getitem__(self, index: slice) -> "AlignedEpoch": ...
    def __getitem__(self, index: int | slice) -> "Aligned | AlignedEpoch":
        if isinstance(index, slice):
            return AlignedEpoch(self._batches[index], self._subsampling, self._blank)
        batch = self._batches[index]
        labels = spread(batch, self._blank) if batch.alignment is None else batch.alignment
        # an output frame is centred on the first of the frames it stands for
        return Aligned(batch, labels[:: self._subsampling])


def share(batch: Batch | Aligned, rank: int, count: int) -> tuple[Batch | Aligned, float]:
    """The rows of a batch that process `rank` of `count` computes, and what part of the batch's loss theirs is.

    A process without a row gets one whose loss counts nothing, so that all take part in every step; batch norm sees it
    once more.
    """
    whole = batch.batch if isinstance(batch, Aligned) else batch
    mine = torch.arange(rank, len(whole.names), count)
    rows = mine if len(mine) else torch.zeros(1, dtype=torch.int64)
    part = Batch(
        whole.x[:, rows],
        whole.lengths[rows],
        whole.targets[rows],
        whole.target_lengths[rows],
        None if whole.alignment is None else whole.alignment[:, rows],
        tuple(whole.names[k] for k in rows.tolist()),
    )
    if isinstance(batch, Aligned):
        known = (batch.labels != PASSED_OVER).sum(0)
        return Aligned(part, batch.labels[:, rows]), float(known[mine].sum() / known.sum())
    return part, float(whole.target_lengths[mine].sum() / whole.target_lengths.sum())


def frame_loss(log_probs: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of log-probabilities [T', B, K] against labels [T', B], a mean over the known frames."""
    return functional.nll_loss(log_probs.flatten(0, 1), labels.flatten(), ignore_index=PASSED_OVER)


def spread(batch: Batch, blank: int) -> Tensor:
    """A label for each frame [T, B]: those of the transcript evenly over the louder half, the blank elsewhere."""
    labels = torch.full(batch.x.shape[:2], PASSED_OVER)
    for b, (frames, count) in enumerate(zip(batch.lengths.tolist(), batch.target_lengths.tolist(), strict=True)):
        loudness = batch.x[:frames, b].mean(1)
        loud = loudness >= loudness.median()
        order = torch.arange(int(loud.sum())) * count // int(loud.sum())
        row = torch.full((frames,), blank)
        row[loud] = batch.targets[b][order]
        labels[:frames, b] = row
    return labels
