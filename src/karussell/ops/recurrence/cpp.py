"""The C++ engine: any cell's program compiled into one fused loop, forward and backward.

Input products, the time loop and its products with R run in one native call; the gradients of weights are large
products after the loop, made by torch.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from karussell.cells import Cell
from karussell.ops import native
from karussell.ops.context import constant, forward_mode, no_autocast, seen, transformed
from karussell.ops.engine import Engine, record
from karussell.ops.recurrence import large, op, reference, segments
from karussell.ops.recurrence.call import KIND, MOST_STAGES, MOST_VALUES
from karussell.ops.recurrence.extras import drops, with_drop
from karussell.ops.recurrence.gradients import gradients
from karussell.ops.recurrence.higher import gradients_again, wanted_again
from karussell.ops.recurrence.invoke import Forward, Inputs, backward, forward
from karussell.ops.recurrence.request import Answer, Request
from karussell.program import Program, TraceError, program


def why_not(q: Request) -> str | None:
    """Why the compiled engine cannot run this request, in a few words; None if it can."""
    if q.x.device.type != "cpu":
        return f"it computes on the CPU, not on {q.x.device}"
    if q.x.dtype not in KIND:
        return f"it computes in float32 and float64, not in {q.x.dtype}"
    if q.projected and torch.compiler.is_compiling():
        return "it has no projection in graphs of torch.compile"
    return runs(_unprojected(q)) or _why_not_here(_cell(q), KIND[q.x.dtype])


def _unprojected(q: Request) -> Request:
    """The request as engines that know no projection see it."""
    return q._replace(weights=q.weights._replace(p=None), projected=0) if q.projected else q


def runs(q: Request) -> str | None:
    """Why no engine that runs programs can run this request, whatever its program; None if one can."""
    if q.weights.p is not None:
        return "it has no projection"
    if q.every_gate:
        return "it does not keep the gates of every step"
    if any(v.requires_grad for v in q.inputs.values()):
        return "it gives no gradient to per-step inputs"
    if transformed():
        return "it does not run inside functorch transforms"
    if forward_mode():
        return "it has no forward-mode derivative"
    return None


def program_of(q: Request) -> Program | str:
    """The program that runs for a request, or why its cell has none."""
    return _why_never(_cell(q)) or _known(_cell(q))


def _cell(q: Request) -> Cell:
    """The cell whose program runs: with a mask on its candidate it has one more input."""
    return with_drop(q.cell) if drops(q) else q.cell


class Names(NamedTuple):
    """What of a program the flat order needs: plain values, which torch.compile can look into."""

    json: str
    gates: tuple[str, ...]
    split: tuple[str, ...]
    states: tuple[str, ...]
    units: tuple[str, ...]
    constants: tuple[str, ...]
    inputs: tuple[str, ...]
    arrivals: tuple[str, ...]


@constant
def _names(cell: Cell) -> Names:
    p = _known(cell)
    return Names(p.json, p.gates, p.split, p.states, p.units, p.constants, p.inputs, p.arrivals)


@lru_cache(maxsize=1024)
def _known(cell: Cell) -> Program:
    # whoever traces the caller is not to see how a step is traced
    with _disable_current_modes(), torch._C.DisableTorchFunction():
        return program(cell)


@constant
def _why_not_here(cell: Cell, kind: str) -> str | None:
    """Why this cell has no compiled engine, ever or on this machine; None if it has."""
    return _why_never(cell) or native.why_not(_known(cell), kind) or large.why_not(kind)


@lru_cache(maxsize=1024)
def _why_never(cell: Cell) -> str | None:
    try:
        made = _known(cell)
    except TraceError as error:
        return str(error)
    if made.first_fixed + len(made.fixed) > MOST_VALUES or len(made.stages) > MOST_STAGES:
        return f"{cell.name} has more values or stages than the compiled engine is built for"
    return None


def run(q: Request) -> Answer:
    """Run the request compiled."""
    cell = _cell(q)
    if torch.compiler.is_compiling():
        names = _names(cell)
        return _answer(q, names, op.call(q, names, flatten(q, names)))
    p = _known(cell)
    tensors = flatten(q, p)
    if seen(tensors) and not q.projected:
        return _answer(q, p, op.call(q, _names(cell), tensors))
    record(Engine.cpp)
    if q.x.shape[1] == 0:
        return reference.run(q)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        again = q.recompute != "none" and q.x.shape[0] > 1
        outputs: Sequence[Tensor] = segments.run(q, p, tensors) if again else _Recurrence.apply(q, p, *tensors)
    else:
        outputs = _outputs(q, p, forward(q, p, _contiguous(p, tensors), keep=False))
    return _answer(q, p, outputs)


def _answer(q: Request, p: Program | Names, outputs: Sequence[Tensor]) -> Answer:
    count = len(p.states)
    y, state = outputs[0], dict(zip(p.states, outputs[1 : 1 + count], strict=True))
    states = dict(zip(p.states, (y, *outputs[1 + count : 2 * count]), strict=True)) if q.every_state else None
    return Answer(y, state, states)


def flatten(q: Request, p: Program | Names) -> list[Tensor | None]:
    """The differentiable inputs in one order: x, w, bias by arrival, r by stage, states, unit vectors and constants."""
    units = [q.weights.units[n] for n in p.units + p.constants]
    states = [None if q.state is None else q.state[n] for n in p.states]
    flat = [q.x, q.weights.w, _bias(q, p), *q.weights.r, *states, *units]
    if q.plain:
        return flat
    starts = [None if q.start is None else q.start[n] for n in p.states]
    projection = [] if q.weights.p is None else [q.weights.p]
    return [*flat, *starts, q.weights.norm_x, *(q.weights.norm_r or ()), *projection]


def _contiguous(p: Program, tensors: Sequence[Tensor | None]) -> Inputs:
    return Inputs.of(p, [None if t is None else t.contiguous() for t in tensors])


def _outputs(q: Request, p: Program, made: Forward) -> tuple[Tensor, ...]:
    """y, the final states, and the other states at every step where they are shown."""
    count = len(p.states)
    shown = [made.history[count + s] for s in range(1, count)] if q.every_state else []
    return made.history[count], *made.final, *shown


def _bias(q: Request, p: Program | Names) -> Tensor | None:
    """The bias of every arrival, in the program's order."""
    b, b_r = q.weights.b, q.weights.b_r
    if b is None and b_r is None:
        return None
    if p.arrivals == p.gates:
        return b
    zero = q.x.new_zeros(q.hidden)
    parts = dict(zip(p.gates, b.split(q.hidden), strict=True)) if b is not None else {}
    parts = {f"{n}_x" if n in p.split else n: v for n, v in parts.items()}
    if b_r is not None:
        parts |= zip((f"{n}_r" for n in p.split), b_r.split(q.hidden), strict=True)
    return torch.cat([parts.get(a, zero) for a in p.arrivals])


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Request, p: Program, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        made = forward(q, p, _contiguous(p, tensors), keep=True)
        ctx.q, ctx.p, ctx.values = q._replace(x=None, weights=None, state=None), p, tuple(made.history)  # type: ignore[arg-type]
        ctx.lines = made.lines  # an array of our own, which the backward pass uses up
        ctx.save_for_backward(*tensors, *made.history.values())
        ctx.set_materialize_grads(False)
        return _outputs(q, p, made)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        tensors, courses = saved[: len(saved) - len(ctx.values)], saved[len(saved) - len(ctx.values) :]
        wanted = ctx.needs_input_grad[2:]
        if wanted_again(grads):
            return None, None, *gradients_again(ctx.q, ctx.p, tensors, wanted, grads)
        history = dict(zip(ctx.values, courses, strict=True))
        inputs = _contiguous(ctx.p, tensors)
        lines, ctx.lines = ctx.lines, None
        if lines is None:
            # backward through a retained graph for the second time: the stored values are gone, compute them again
            lines = forward(ctx.q._replace(x=inputs.x), ctx.p, inputs, keep=True).lines
        flows = [None if g is None else g.contiguous() for g in grads]
        with no_autocast("cpu"):
            made = backward(ctx.q, ctx.p, inputs, lines, history, flows)
            return None, None, *gradients(ctx.q, ctx.p, inputs, history, made, wanted)
