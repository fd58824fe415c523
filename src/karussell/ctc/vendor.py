"""Torch's own CTC kernel with the true gradient: for other devices than the CPU, and where nothing can be compiled.

Its backward pass returns y - occupancy, the gradient with respect to a softmax's input, even where what was passed are
log-probabilities; the y is taken away again here.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from karussell.ctc.kernel import Task


class Forward(NamedTuple):
    """Losses [B], infinite where there is no path, and what torch keeps for its backward pass."""

    losses: Tensor
    alpha: Tensor


def forward(lp: Tensor, task: Task) -> Forward:
    """Compute the losses of log-probabilities [T, B, K]."""
    # int64 throughout: int32 targets on the CPU would send a CUDA input to cuDNN, which has other limits
    lengths = task.input_lengths.tolist(), task.target_lengths.tolist()
    return Forward(*torch.ops.aten._ctc_loss(lp, task.concatenated().to(lp.device), *lengths, task.blank, False))


def gradient(lp: Tensor, task: Task, made: Forward, upstream: Tensor) -> Tensor:
    """-upstream[b] times the occupancy, as [T, B, K]; exactly zero beyond a row's frames and where upstream is."""
    lengths = task.input_lengths.tolist(), task.target_lengths.tolist()
    labels = task.concatenated().to(lp.device)
    found = torch.ops.aten._ctc_loss_backward(
        upstream, lp, labels, *lengths, made.losses, made.alpha, task.blank, False
    )
    inside = torch.arange(lp.shape[0], device=lp.device)[:, None] < task.input_lengths.to(lp.device)
    wanted = (inside & (upstream != 0))[..., None]
    return torch.where(wanted, found - lp.exp() * upstream[:, None], 0.0)
