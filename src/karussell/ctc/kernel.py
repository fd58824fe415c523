"""Native calls of the CTC loss: the struct of native/loss/call.h, memory for what they write, the threads."""

import ctypes
import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from karussell.errors import EngineError
from karussell.native import Source, load

KIND = {torch.float32: "f32", torch.float64: "f64"}
REFUSED = {
    1: "a size, a stride or the blank is out of its range",
    2: "an array is missing or too small",
    3: "a length is out of its range, or targets are not as long as the labels",
    4: "a label is out of its range, or the blank",
    5: "there is not enough memory",
    6: "the probabilities of a first frame do not add up to 1",
}
# states times frames from which a second thread pays for its start
_WORTH = 30_000

# threads do not survive a fork: a child computes alone
_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class RefusedError(EngineError):
    """The compiled loss found something wrong with its arguments, and did nothing."""


class Task(NamedTuple):
    """What is computed, beside the log-probabilities; tensors are int64, contiguous and on the CPU.

    labels     the targets, concatenated [sum of target_lengths] or padded [B, L]
    best       the best path alone counts
    logits     x is normalised first
    tolerance  how far from 1 the probabilities of a first frame may add up; 0: anything may be passed
    """

    labels: Tensor
    input_lengths: Tensor
    target_lengths: Tensor
    width: int
    blank: int
    best: bool = False
    logits: bool = False
    tolerance: float = 0.0

    def concatenated(self) -> Tensor:
        """The labels [sum of target_lengths]."""
        if self.labels.dim() == 1:
            return self.labels
        return self.labels[torch.arange(self.labels.shape[1]) < self.target_lengths[:, None]]


class Forward(NamedTuple):
    """What a forward call leaves.

    losses     [B], infinite where there is no path
    occupancy  [T, B, W + 1] of the blank and each label of the target, undefined beyond a row's frames; if kept
    shift      [T, B] log-sum-exp of logits
    scores     [B] float64, the expected log-probability of a path; if asked for
    closed     whether some loss is infinite
    """

    losses: Tensor
    occupancy: Tensor | None
    shift: Tensor | None
    scores: Tensor | None
    closed: bool = False


_NUMBERS = (
    *("frames", "batch", "classes", "width", "blank", "threads", "best", "logits"),
    *("x_count", "x_step", "x_row", "x_class"),
    *("rows_count", "labels_count", "shift_count", "occupancy_count", "gradient_count", "labels_row"),
    *("v_count", "v_step", "v_row", "v_class"),
)
_ARRAYS = (
    *("x", "labels", "input_lengths", "target_lengths", "losses", "shift", "occupancy", "scores"),
    *("upstream", "gradient", "v", "change"),
)


class Call(ctypes.Structure):
    """One call; see native/loss/call.h for what every field is."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in _NUMBERS),
        ("tolerance", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in _ARRAYS),
    )


@cache
def source() -> Source:
    """The C++ of the loss."""
    folder = files("karussell.ctc").joinpath("native")
    text = folder.joinpath("loss.cpp").read_text(encoding="utf-8")
    return Source("ctc_loss", "the compiled CTC loss cannot run", text, Path(str(folder.joinpath("loss"))))


@cache
def library() -> ctypes.CDLL:
    """The compiled loss; MissingError if it cannot be made."""
    loaded = load(source())
    for kind in KIND.values():
        for name in ("forward", "spread", "tangent"):
            function = getattr(loaded, f"{kind}_{name}")
            function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_int64
    return loaded


def forward(x: Tensor, task: Task, *, keep: bool, scores: bool = False) -> Forward:
    """Compute the losses of x [T, B, K]; `keep` the occupancy, which the gradient is made from."""
    steps, batch, _ = x.shape
    made = Forward(
        losses=x.new_empty(batch),
        occupancy=x.new_empty(steps, batch, task.width + 1) if keep else None,
        shift=x.new_empty(steps, batch) if task.logits else None,
        scores=torch.empty(batch, dtype=torch.float64) if scores else None,
    )
    call = _prepare(x, task, made.occupancy, made.shift)
    call.losses, call.scores, call.tolerance = _pointer(made.losses), _pointer(made.scores), task.tolerance
    return made._replace(closed=_run("forward", x, call))


def spread(x: Tensor, task: Task, occupancy: Tensor, shift: Tensor | None, upstream: Tensor) -> Tensor:
    """upstream[b] ((softmax of logits) - occupancy of k) as [T, B, K], zero beyond a row's frames."""
    gradient = x.new_empty(x.shape)
    upstream = upstream.contiguous()
    call = _prepare(x, task, occupancy, shift)
    call.upstream, call.gradient, call.gradient_count = _pointer(upstream), _pointer(gradient), gradient.numel()
    _run("spread", x, call)
    return gradient


def tangent(x: Tensor, task: Task, occupancy: Tensor, shift: Tensor | None, v: Tensor) -> Tensor:
    """The change of the occupancy [T, B, W + 1] where log-probabilities change in the direction v [T, B, K]."""
    change = torch.empty_like(occupancy)
    call = _prepare(x, task, occupancy, shift)
    call.v, call.v_count, call.change = _pointer(v), _within(v), _pointer(change)
    call.v_step, call.v_row, call.v_class = v.stride()
    _run("tangent", x, call)
    return change


def threads(work: int) -> int:
    """How many threads to use for so many states times frames: never more than torch's, one after a fork."""
    most = torch.get_num_threads()
    return 1 if most == 1 or _forked or work < _WORTH else most


def _prepare(x: Tensor, task: Task, occupancy: Tensor | None, shift: Tensor | None) -> Call:
    frames, batch, classes = x.shape
    labels = task.labels
    # by position, in the order of the fields: a small batch feels every single assignment
    return Call(
        *(frames, batch, classes, task.width, task.blank),
        threads(frames * batch * (2 * task.width + 1)),
        *(task.best, task.logits),
        *(_within(x), *x.stride()),
        *(batch, labels.numel(), 0 if shift is None else shift.numel(), 0 if occupancy is None else occupancy.numel()),
        *(0, -1 if labels.dim() == 1 else labels.shape[1]),
        *(0, 0, 0, 0, 0.0),
        *(x.data_ptr(), labels.data_ptr(), task.input_lengths.data_ptr(), task.target_lengths.data_ptr()),
        *(None, _pointer(shift), _pointer(occupancy)),
    )


def _run(name: str, x: Tensor, call: Call) -> bool:
    status = getattr(library(), f"{KIND[x.dtype]}_{name}")(ctypes.byref(call))
    if status > 0:
        raise RefusedError(f"ctc_loss: the compiled loss refused its arguments: {REFUSED[status]}")
    return status < 0


def _within(tensor: Tensor) -> int:
    """Numbers between a tensor's first and the end of its memory."""
    return int(tensor.untyped_storage().nbytes() // tensor.element_size() - tensor.storage_offset())


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
