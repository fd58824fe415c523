"""Several processes in one run: each computes the gradient of its share of every batch, one of them writes.

The batches are those of one process. Of each, process k of n takes every n-th row from the k-th on; its loss counts by
its share, and gradients are summed, so that a step is the step of one process on the whole batch, to rounding.
"""

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import distributed

Share = Callable[[Any, int, int], tuple[Any, float]]
"""(batch, rank, processes) -> this process's part of the batch, and the part of the batch's loss that is the part's."""


def rank() -> int:
    """The number of this process among those of a run, as launchers tell it; 0 where there is one."""
    return int(os.environ.get("RANK", "0"))


class Together:
    """What the processes of a run agree on; with one process, everything is as it was."""

    def __init__(self, rank: int, count: int, device: torch.device) -> None:
        self.rank, self.count, self._device = rank, count, device

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes files and speaks."""
        return self.rank == 0

    def sum(self, value: float) -> float:
        """The sum of a number over all processes."""
        if self.count == 1:
            return value
        tensor = torch.tensor([value], dtype=torch.float64, device=self._device)
        distributed.all_reduce(tensor)
        return float(tensor)

    def first(self, value: float) -> float:
        """The first process's number, for what depends on a clock."""
        return self.sum(value if self.rank == 0 else 0.0)

    def any(self, asked: bool) -> bool:
        """Whether any process was asked."""
        return self.sum(float(asked)) > 0

    def wait(self) -> None:
        """Go on when all are here."""
        if self.count > 1:
            distributed.barrier()
