"""The CTC loss on CUDA devices, deterministic to the bit; with TRITON_INTERPRET=1 on the CPU, to be tested."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from karussell.ctc.kernel import Task
from karussell.native import triton as available


def why_not(x: Tensor) -> str | None:
    """Why the kernels cannot run on x, in a few words; None if they can."""
    reason = available.why_not(x.device)
    if reason is None and x.dtype != torch.float32:
        reason = f"it computes in float32, not in {x.dtype}"
    return reason


class Forward(NamedTuple):
    """Losses [B], infinite where there is no path; shares of the states [T, B, S], if kept; logits' logarithms of
    sums [T, B], or nothing."""

    losses: Tensor
    shares: Tensor
    shift: Tensor


class Row(NamedTuple):
    """What the kernels get of a task, on the device."""

    labels: Tensor
    frames: Tensor
    lengths: Tensor


def forward(x: Tensor, task: Task, keep: bool) -> Forward:
    """Losses of x [T, B, K]; `keep` what the gradient is made of."""
    from karussell.ctc.triton import kernels

    steps, batch, classes = x.shape
    x, rows, states = x.contiguous(), _rows(task, x.device), _states(task)
    shift = x.logsumexp(-1) if task.logits else x.new_zeros(1)
    losses, alpha = x.new_empty(batch), x.new_zeros(steps, batch, states)
    sizes: dict[str, Any] = {"batch": batch, "classes": classes, "width": rows.labels.shape[1], "blank": task.blank}
    fixed: dict[str, Any] = {"S": states, "LOGITS": task.logits}
    kernels.forward[(batch,)](x, shift, *rows, losses, alpha, **sizes, **fixed)
    if keep:
        kernels.backward[(batch,)](x, shift, *rows, losses, alpha, x.new_empty(2, batch, states), **sizes, **fixed)
    return Forward(losses, alpha, shift)


def gradient(x: Tensor, task: Task, made: Forward, upstream: Tensor) -> Tensor:
    """upstream [B] times the gradient of the losses, [T, B, K]."""
    from karussell.ctc.triton import kernels

    steps, batch, classes = x.shape
    x, rows, states = x.contiguous(), _rows(task, x.device), _states(task)
    found, block = torch.empty_like(x), 16
    kernels.spread[(-(-steps // block), batch)](
        x,
        made.shift,
        *rows,
        made.shares,
        upstream.contiguous(),
        found,
        steps=steps,
        batch=batch,
        classes=classes,
        width=rows.labels.shape[1],
        blank=task.blank,
        S=states,
        N=block,
        K=min(128, max(16, 1 << (classes - 1).bit_length())),
        LOGITS=task.logits,
    )
    return found


def _states(task: Task) -> int:
    return max(16, 1 << (2 * task.width).bit_length())


def _rows(task: Task, device: torch.device) -> Row:
    """Labels padded [B, W at least 1]; one transfer each."""
    inside = torch.arange(max(task.width, 1)) < task.target_lengths[:, None]
    labels = torch.zeros(inside.shape, dtype=torch.int64)
    labels[inside] = task.concatenated()
    parts = (labels, task.input_lengths, task.target_lengths)
    return Row(*(v.to(device, non_blocking=True).contiguous() for v in parts))
