"""Native calls of a compiled engine: memory for what they write, the struct, the threads."""

import ctypes
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from karussell.ops import native
from karussell.ops.recurrence import extras
from karussell.ops.recurrence.call import KIND, Call, pointer
from karussell.ops.recurrence.inputs import Inputs
from karussell.ops.recurrence.large import product
from karussell.ops.recurrence.request import Request
from karussell.ops.recurrence.structure import structure
from karussell.ops.threads import most
from karussell.program import Program


class Forward(NamedTuple):
    """What a forward call leaves: final states, the stored values [T, B, width * H], the course of values by number."""

    final: list[Tensor]
    lines: Tensor | None
    history: dict[int, Tensor]


class Backward(NamedTuple):
    """What a backward call leaves: gradients of arrivals [T, B, width * H], biases, initial states, unit vectors;
    of starts; of gains and of what R gave under layer norm; of the output as it was projected [T, B, P]."""

    lines: Tensor
    bias: Tensor | None
    state: list[Tensor | None]
    units: dict[int, Tensor]
    start: list[Tensor | None]
    gains: list[Tensor]
    sent: Tensor | None
    output: Tensor | None


def forward(q: Request, p: Program, inputs: Inputs, keep: bool) -> Forward:
    """Run the loop forward; `keep` what the backward call needs."""
    made, count = allocate(q, p, inputs.x, keep), len(p.states)
    call, alive = prepare(q, p, inputs, backward=False)
    _courses(call, made.history, count)
    for s, tensor in enumerate(made.final):
        call.final[s] = pointer(tensor)
    if inputs.norm_x is not None:
        normal, deviation = extras.normal_inputs(q, p, inputs)
        z = normal * inputs.norm_x.view(normal.shape[1:])
        alive.append(z)
        call.x = pointer(z)
        if keep:
            made.history[extras.NORMAL].copy_(normal), made.history[extras.DEVIATION].copy_(deviation)
    _lines(call, q, p, made.lines)
    _function(p, inputs.x, "forward")(ctypes.byref(call))
    del alive
    return made


def _function(p: Program, like: Tensor, name: str) -> Callable:
    kind = KIND[like.dtype]
    return getattr(native.load(p, kind), f"{kind}_{name}")


def allocate(q: Request, p: Program, x: Tensor, keep: bool) -> Forward:
    """The memory that a forward call writes, y first in the history; of the call itself it says all shapes."""
    steps, batch = x.shape[:2]
    values, width, hidden, output = courses(q, p, keep), p.width * q.hidden, q.hidden, q.output
    if q.normed:
        # normalised products and deviations
        width += _products(p) * (hidden + 1)
    return Forward(
        final=[x.new_empty((batch, hidden if s else output)) for s in range(len(p.states))],
        lines=x.new_empty((steps, batch, width)) if keep else None,
        history={v: x.new_empty(_shape(v, q, p, steps, batch)) for v in values},
    )


def _products(p: Program) -> int:
    return sum(len(s.arrivals) - s.alone for s in p.stages if s.sees)


def _shape(value: int, q: Request, p: Program, steps: int, batch: int) -> tuple[int, ...]:
    if value in (extras.NORMAL, extras.DEVIATION):
        return steps * batch, len(p.fed), q.hidden if value == extras.NORMAL else 1
    return steps, batch, q.output if value in (len(p.states), extras.fresh(0)) else q.hidden


def _courses(call: Call, history: dict[int, Tensor], count: int) -> None:
    for v, tensor in history.items():
        if v >= 0:
            call.history[v - count] = pointer(tensor)
        elif v == extras.MADE:
            call.made = pointer(tensor)
        elif v > extras.NORMAL:
            call.fresh[extras.fresh(v)] = pointer(tensor)


def _lines(call: Call, q: Request, p: Program, lines: Tensor | None, stored: Tensor | None = None) -> None:
    """Where stored values are, and where gradients go that may overwrite them; behind them what layer norm keeps."""
    stored = lines if stored is None else stored
    call.lines, call.stored = pointer(lines), pointer(stored)
    if lines is not None and stored is not None and q.normed:
        rows, size = lines.shape[0] * lines.shape[1], lines.element_size()
        behind = rows * p.width * q.hidden * size
        call.norms, call.stored_norms = lines.data_ptr() + behind, stored.data_ptr() + behind
        call.scales = call.stored_norms + rows * _products(p) * q.hidden * size


def courses(q: Request, p: Program, keep: bool) -> list[int]:
    """The values whose course a forward call writes, y first."""
    count = len(p.states)
    values = {count}.union(p.history if keep else ())
    if keep and not q.plain:
        values |= {extras.fresh(s) for s in extras.zoned(q, p)}
        values |= {extras.NORMAL, extras.DEVIATION} if q.normed else set()
        values |= {extras.MADE} if q.projected else set()
    return sorted(values | (set(range(count, 2 * count)) if q.every_state else set()))


def backward(
    q: Request,
    p: Program,
    inputs: Inputs,
    lines: Tensor,
    history: dict[int, Tensor],
    grads: Sequence[Tensor | None],
    spare: bool = False,
) -> Backward:
    """Run the loop backward, from the gradients of y, of the final states, and of states at every step if shown.

    The stored values in `lines` are overwritten by the gradients of pre-activations, unless they are to be spared.
    """
    count, x = len(p.states), inputs.x
    d_bias = None if inputs.bias is None else torch.empty_like(inputs.bias)
    d_state = [None if s is None else torch.empty_like(s) for s in inputs.state]
    d_units = {p.first_fixed + k: x.new_empty(q.hidden) for k in range(len(p.units))}
    call, alive = prepare(q, p, inputs, backward=True)
    _courses(call, history, count)
    written = torch.empty_like(lines) if spare else lines
    _lines(call, q, p, written, lines)
    d_start = [None if s is None else torch.zeros_like(s) for s in inputs.start]
    for s, d in enumerate(d_start):
        call.d_start[s] = pointer(d)
    seeing = [k for k, stage in enumerate(p.stages) if stage.sees] if q.normed else []
    gains = [x.new_empty((len(p.stages[k].arrivals) - p.stages[k].alone) * q.hidden) for k in seeing]
    for k, d in zip(seeing, gains, strict=True):
        call.d_gain[k] = pointer(d)
    shown = [grads[0], *grads[1 + count :]]
    for s, grad in enumerate(shown):
        call.d_history[s] = pointer(grad)
    for s, grad in enumerate(grads[1 : 1 + count]):
        call.d_final[s] = pointer(grad)
    call.d_bias = pointer(d_bias)
    d_output = x.new_empty(*x.shape[:2], q.projected) if q.projected else None
    call.d_projected = pointer(d_output)
    for s, initial in enumerate(d_state):
        call.d_initial[s] = pointer(initial)
    for v, tensor in d_units.items():
        call.d_units[v] = pointer(tensor)
    _function(p, x, "backward")(ctypes.byref(call))
    del alive
    rows, wide = x.shape[0] * x.shape[1], p.width * q.hidden
    if not q.normed:
        return Backward(written.view(rows, wide), d_bias, d_state, d_units, d_start, gains, None, d_output)
    sent = written.view(-1)[rows * wide :][: rows * _products(p) * q.hidden].view(rows, -1)
    made = written.view(-1)[: rows * wide].view(rows, wide)
    return Backward(made, d_bias, d_state, d_units, d_start, gains, sent, d_output)


def prepare(q: Request, p: Program, inputs: Inputs, backward: bool) -> tuple[Call, list[Tensor]]:
    """The struct with its inputs, and the tensors made here that must outlive the call."""
    alive: list[Tensor] = []
    known = _known(p, KIND[inputs.x.dtype], (*inputs.x.shape, q.hidden, q.projected, q.normed), backward, most())
    call = Call.from_buffer_copy(known.blank)
    call.reverse = q.reverse
    if inputs.norm_x is not None:
        gains = iter(inputs.norm_r)
        for k, stage in enumerate(p.stages):
            if stage.sees:
                alive.append(extras.gain(p, stage, next(gains), q.hidden))
                call.gain[k] = pointer(alive[-1])
    if not q.plain:
        extras.describe(call, q, p, inputs, alive)
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
        if name == "drop" and extras.drops(q):
            continue
        value = q.inputs[name].contiguous()
        alive.append(value)
        number = p.first_fixed + len(inputs.units) + k
        call.fixed[number], call.wide[number] = pointer(value), int(value.shape[-1] != 1)
    for s, state in enumerate(inputs.state):
        call.initial[s] = pointer(state)
    call.p = pointer(inputs.p)
    made = structure(q.cell, q.hidden)
    if made is not None:
        alive += [made.sees, made.seen_by]
        call.sees, call.seen_by = pointer(made.sees), pointer(made.seen_by)
    panels = inputs.x.new_empty(known.panels)
    alive.append(panels)
    call.packed = pointer(panels)
    return call, alive


class _Known(NamedTuple):
    """What is known of a call before any tensor: the struct with its numbers, and how many numbers its panels take."""

    blank: bytes
    panels: int


@lru_cache(maxsize=1024)
def _known(p: Program, kind: str, sizes: tuple[int, ...], backward: bool, members: int) -> _Known:
    steps, batch, inputs, hidden, projected, normed = sizes
    inputs = 0 if normed else inputs
    call = Call(steps=steps, batch=batch, inputs=inputs, hidden=hidden, projected=projected, normed=normed, pack=1)
    call.threads, call.by_units = threads(batch, hidden, len(p.arrivals), members, rows=bool(normed))
    call.product = product(kind)
    panels = getattr(native.load(p, kind), f"{kind}_packed")(inputs, hidden, projected, int(backward))
    return _Known(bytes(call), max(panels, 1))


def threads(batch: int, hidden: int, arrivals: int, members: int, rows: bool = False) -> tuple[int, int]:
    """How many threads of `members`, and whether they divide units (1) or rows (0); `rows` where units cannot be.

    Rows need no barrier, so they are divided where every thread gets enough of them. Below a step's worth of work that
    outweighs a barrier, one thread is faster than two.
    """
    if members == 1:
        return 1, 0
    if batch >= 12 * members:
        return members, 0
    if rows:
        return (min(members, batch), 0) if batch * hidden * hidden * arrivals >= 100_000 else (1, 0)
    return (members, 1) if batch * hidden * hidden * arrivals >= 100_000 and hidden >= 32 * members else (1, 0)
