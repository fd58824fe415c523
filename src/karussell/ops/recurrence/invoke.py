"""Native calls of a compiled engine: memory for what they write, the struct, the threads."""

import ctypes
import os
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from karussell.ops import native
from karussell.ops.recurrence.call import Call, pointer
from karussell.ops.recurrence.request import Request
from karussell.program import Program

# the OpenMP runtime's threads do not survive a fork: a child computes alone
_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

KIND = {torch.float32: "f32", torch.float64: "f64"}


class Inputs(NamedTuple):
    """The differentiable inputs, contiguous: biases in the order of the arrivals, units with constants."""

    x: Tensor
    w: Tensor
    bias: Tensor | None
    r: tuple[Tensor, ...]
    state: tuple[Tensor | None, ...]
    units: tuple[Tensor, ...]

    @classmethod
    def of(cls, p: Program, flat: Sequence[Tensor | None]) -> "Inputs":
        """From the flat order x, w, bias, r by stage, states, units."""
        seeing, count = sum(bool(s.sees) for s in p.stages), len(p.states)
        rest: list = list(flat[3:])
        return cls(
            flat[0],  # type: ignore[arg-type]
            flat[1],  # type: ignore[arg-type]
            flat[2],
            tuple(rest[:seeing]),
            tuple(rest[seeing : seeing + count]),
            tuple(rest[seeing + count :]),
        )


class Forward(NamedTuple):
    """What a forward call leaves: final states, the stored values [T, B, width * H], the course of values by number."""

    final: list[Tensor]
    lines: Tensor | None
    history: dict[int, Tensor]


class Backward(NamedTuple):
    """What a backward call leaves: gradients of arrivals [T, B, width * H], biases, initial states, unit vectors."""

    lines: Tensor
    bias: Tensor | None
    state: list[Tensor | None]
    units: dict[int, Tensor]


def forward(q: Request, p: Program, inputs: Inputs, keep: bool) -> Forward:
    """Run the loop forward; `keep` what the backward call needs."""
    made, count = allocate(q, p, inputs.x, keep), len(p.states)
    call, alive = prepare(q, p, inputs, backward=False)
    for v, tensor in made.history.items():
        call.history[v - count] = pointer(tensor)
    for s, tensor in enumerate(made.final):
        call.final[s] = pointer(tensor)
    call.lines = pointer(made.lines)
    getattr(native.load(p), f"{KIND[inputs.x.dtype]}_forward")(ctypes.byref(call))
    del alive
    return made


def allocate(q: Request, p: Program, x: Tensor, keep: bool) -> Forward:
    """The memory that a forward call writes, y first in the history; of the call itself it says all shapes."""
    count, shape = len(p.states), (*x.shape[:2], q.hidden)
    values = {count} | (set(p.history) if keep else set())
    values |= set(range(count, 2 * count)) if q.every_state else set()
    return Forward(
        final=[x.new_empty(shape[1:]) for _ in p.states],
        lines=x.new_empty(*shape[:2], p.width * q.hidden) if keep else None,
        history={v: x.new_empty(shape) for v in sorted(values)},
    )


def backward(
    q: Request,
    p: Program,
    inputs: Inputs,
    lines: Tensor,
    history: dict[int, Tensor],
    grads: Sequence[Tensor | None],
) -> Backward:
    """Run the loop backward, from the gradients of y, of the final states, and of states at every step if shown.

    The stored values in `lines` are overwritten by the gradients of pre-activations.
    """
    count, x = len(p.states), inputs.x
    d_bias = None if inputs.bias is None else torch.empty_like(inputs.bias)
    d_state = [None if s is None else torch.empty_like(s) for s in inputs.state]
    d_units = {p.first_fixed + k: x.new_empty(q.hidden) for k in range(len(p.units))}
    call, alive = prepare(q, p, inputs, backward=True)
    for v, tensor in history.items():
        call.history[v - count] = pointer(tensor)
    call.lines = pointer(lines)
    shown = [grads[0], *grads[1 + count :]]
    for s, grad in enumerate(shown):
        call.d_history[s] = pointer(grad)
    for s, grad in enumerate(grads[1 : 1 + count]):
        call.d_final[s] = pointer(grad)
    call.d_bias = pointer(d_bias)
    for s, initial in enumerate(d_state):
        call.d_initial[s] = pointer(initial)
    for v, tensor in d_units.items():
        call.d_units[v] = pointer(tensor)
    getattr(native.load(p), f"{KIND[x.dtype]}_backward")(ctypes.byref(call))
    del alive
    return Backward(lines, d_bias, d_state, d_units)


def prepare(q: Request, p: Program, inputs: Inputs, backward: bool) -> tuple[Call, list[Tensor]]:
    """The struct with its inputs, and the tensors made here that must outlive the call."""
    call, alive = Call(), []
    steps, batch, width = inputs.x.shape
    call.steps, call.batch, call.inputs, call.hidden = steps, batch, width, q.hidden
    call.reverse = q.reverse
    call.threads, call.by_units = threads(batch, q.hidden, len(p.arrivals))
    if q.lengths is not None:
        lengths = q.lengths.to("cpu").contiguous()
        alive.append(lengths)
        call.lengths = pointer(lengths)
    call.x, call.w, call.bias = pointer(inputs.x), pointer(inputs.w), pointer(inputs.bias)
    matrices = iter(inputs.r)
    for k, stage in enumerate(p.stages):
        call.r[k] = pointer(next(matrices)) if stage.sees else None
    for k, unit in enumerate(inputs.units):
        call.fixed[p.first_fixed + k] = pointer(unit)
    for k, name in enumerate(p.inputs):
        value = q.inputs[name].contiguous()
        alive.append(value)
        number = p.first_fixed + len(inputs.units) + k
        call.fixed[number], call.wide[number] = pointer(value), int(value.shape[-1] != 1)
    for s, state in enumerate(inputs.state):
        call.initial[s] = pointer(state)
    size = getattr(native.load(p), f"{KIND[inputs.x.dtype]}_packed")(width, q.hidden, int(backward))
    panels = inputs.x.new_empty(max(size, 1))
    alive.append(panels)
    call.packed, call.pack = pointer(panels), 1
    return call, alive


def threads(batch: int, hidden: int, arrivals: int) -> tuple[int, int]:
    """How many threads to use, and whether they divide units (1) or rows (0).

    Rows need no barrier, so they are divided where every thread gets enough of them. Below a step's worth of work that
    outweighs a barrier, one thread is faster than two.
    """
    most = torch.get_num_threads()
    if most == 1 or _forked:
        return 1, 0
    if batch >= 12 * most:
        return most, 0
    return (most, 1) if batch * hidden * hidden * arrivals >= 100_000 and hidden >= 32 * most else (1, 0)
