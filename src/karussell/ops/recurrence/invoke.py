"""Native calls of a compiled engine: memory for what they write, the struct, the threads."""

import ctypes
from collections.abc import Callable, Sequence
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
    return Forward(
        final=[x.new_empty(batch, q.hidden if s else q.output) for s in range(len(p.states))],
        lines=x.new_empty(steps, batch, _width(q, p)) if keep else None,
        history={v: x.new_empty(_shape(v, q, p, steps, batch)) for v in courses(q, p, keep)},
    )


def _width(q: Request, p: Program) -> int:
    """How many numbers a row and step keeps: stored values; with layer norm, normalised products and deviations."""
    return p.width * q.hidden + (_products(p) * (q.hidden + 1) if q.normed else 0)


def _products(p: Program) -> int:
    return sum(len(s.arrivals) - s.alone for s in p.stages if s.sees)


def _shape(value: int, q: Request, p: Program, steps: int, batch: int) -> tuple[int, ...]:
    rows, output = steps * batch, value in (len(p.states), extras.fresh(0))
    kept = {extras.NORMAL: (rows, len(p.fed), q.hidden), extras.DEVIATION: (rows, len(p.fed), 1)}
    return kept.get(value, (steps, batch, q.output if output else q.hidden))


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
    values = {count} | (set(p.history) if keep else set())
    if keep:
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
    sent = written.view(-1)[rows * wide :][: rows * _products(p) * q.hidden].view(rows, -1) if q.normed else None
    made = written.view(-1)[: rows * wide].view(rows, wide)
    return Backward(made, d_bias, d_state, d_units, d_start, gains, sent, d_output)


def prepare(q: Request, p: Program, inputs: Inputs, backward: bool) -> tuple[Call, list[Tensor]]:
    """The struct with its inputs, and the tensors made here that must outlive the call."""
    call, alive = Call(), []
    steps, batch, width = inputs.x.shape
    call.steps, call.batch, call.inputs, call.hidden = steps, batch, width, q.hidden
    call.reverse = q.reverse
    if inputs.norm_x is not None:
        call.normed, call.inputs, width = 1, 0, 0
        gains = iter(inputs.norm_r)
        for k, stage in enumerate(p.stages):
            if stage.sees:
                alive.append(extras.gain(p, stage, next(gains), q.hidden))
                call.gain[k] = pointer(alive[-1])
    call.threads, call.by_units = threads(batch, q.hidden, len(p.arrivals), rows=q.normed)
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
    call.product = product(KIND[inputs.x.dtype])
    call.projected, call.p = q.projected, pointer(inputs.p)
    made = structure(q.cell, q.hidden)
    if made is not None:
        alive += [made.sees, made.seen_by]
        call.sees, call.seen_by = pointer(made.sees), pointer(made.seen_by)
    size = _function(p, inputs.x, "packed")(width, q.hidden, q.projected, int(backward))
    panels = inputs.x.new_empty(max(size, 1))
    alive.append(panels)
    call.packed, call.pack = pointer(panels), 1
    return call, alive


def threads(batch: int, hidden: int, arrivals: int, rows: bool = False) -> tuple[int, int]:
    """How many threads to use, and whether they divide units (1) or rows (0); `rows` where units cannot be divided.

    Rows need no barrier, so they are divided where every thread gets enough of them. Below a step's worth of work that
    outweighs a barrier, one thread is faster than two.
    """
    members = most()
    if members == 1:
        return 1, 0
    if batch >= 12 * members:
        return members, 0
    if rows:
        return (min(members, batch), 0) if batch * hidden * hidden * arrivals >= 100_000 else (1, 0)
    return (members, 1) if batch * hidden * hidden * arrivals >= 100_000 and hidden >= 32 * members else (1, 0)
