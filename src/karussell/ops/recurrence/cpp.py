"""The C++ engine: any cell's program compiled into one fused loop, forward and backward.

Input products, the time loop and its products with R run in one native call; the gradients of weights are large
products after the loop, made by torch.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from karussell.cells import Cell
from karussell.ops import native
from karussell.ops.recurrence import reference
from karussell.ops.recurrence.call import MOST_STAGES, MOST_VALUES
from karussell.ops.recurrence.gradients import gradients
from karussell.ops.recurrence.invoke import KIND, Forward, Inputs, backward, forward
from karussell.ops.recurrence.request import Answer, Request
from karussell.ops.recurrence.weights import Weights
from karussell.program import Program, TraceError, program


def why_not(q: Request) -> str | None:
    """Why the compiled engine cannot run this request, in a few words; None if it can."""
    if q.x.device.type != "cpu":
        return f"it computes on the CPU, not on {q.x.device}"
    if q.x.dtype not in KIND:
        return f"it computes in float32 and float64, not in {q.x.dtype}"
    if not q.options.plain:
        return "it has neither zoneout nor recurrent dropout yet"
    if q.weights.norm_x is not None:
        return "it has no layer norm yet"
    if q.weights.p is not None:
        return "it has no projection yet"
    if q.resets is not None:
        return "it cannot reset a row inside a sequence yet"
    if q.every_gate:
        return "it does not keep the gates of every step"
    if any(v.requires_grad for v in q.inputs.values()):
        return "it gives no gradient to per-step inputs"
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return "it does not run inside functorch transforms"
    if torch.autograd.forward_ad._current_level >= 0:
        return "it has no forward-mode derivative"
    return _why_never(q.cell) or native.why_not(program(q.cell))


@lru_cache(maxsize=1024)
def _why_never(cell: Cell) -> str | None:
    """Why this cell has no compiled engine at all; None if it has."""
    try:
        made = program(cell)
    except TraceError as error:
        return str(error)
    if made.first_fixed + len(made.fixed) > MOST_VALUES or len(made.stages) > MOST_STAGES:
        return f"{cell.name} has more values or stages than the compiled engine is built for"
    return None


def run(q: Request) -> Answer:
    """Run the request compiled."""
    p = program(q.cell)
    if q.x.shape[1] == 0:
        return reference.run(q)
    tensors, count = flatten(q, p), len(p.states)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        outputs = _Recurrence.apply(q, p, *tensors)
    else:
        outputs = _outputs(q, p, forward(q, p, _contiguous(p, tensors), keep=False))
    y, state = outputs[0], dict(zip(p.states, outputs[1 : 1 + count], strict=True))
    states = dict(zip(p.states, (y, *outputs[1 + count :]), strict=True)) if q.every_state else None
    return Answer(y, state, states)


def flatten(q: Request, p: Program) -> list[Tensor | None]:
    """The differentiable inputs in one order: x, w, bias by arrival, r by stage, states, unit vectors and constants."""
    units = [q.weights.units[n] for n in p.units + p.constants]
    states = [None if q.state is None else q.state[n] for n in p.states]
    return [q.x, q.weights.w, _bias(q, p), *q.weights.r, *states, *units]


def _contiguous(p: Program, tensors: Sequence[Tensor | None]) -> Inputs:
    return Inputs.of(p, [None if t is None else t.contiguous() for t in tensors])


def _outputs(q: Request, p: Program, made: Forward) -> tuple[Tensor, ...]:
    """y, the final states, and the other states at every step where they are shown."""
    count = len(p.states)
    shown = [made.history[count + s] for s in range(1, count)] if q.every_state else []
    return made.history[count], *made.final, *shown


def _bias(q: Request, p: Program) -> Tensor | None:
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
        return _outputs(q, p, made)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        count = len(ctx.saved_tensors) - len(ctx.values)
        tensors = ctx.saved_tensors[:count]
        wanted = ctx.needs_input_grad[2:]
        if torch.is_grad_enabled():
            # a derivative of this derivative is wanted: the reference engine has all orders
            return None, None, *_differentiable(ctx.q, ctx.p, tensors, wanted, grads)
        history = dict(zip(ctx.values, ctx.saved_tensors[count:], strict=True))
        inputs = _contiguous(ctx.p, tensors)
        lines, ctx.lines = ctx.lines, None
        if lines is None:
            # backward through a retained graph for the second time: the stored values are gone, compute them again
            lines = forward(ctx.q._replace(x=inputs.x), ctx.p, inputs, keep=True).lines
        made = backward(ctx.q, ctx.p, inputs, lines, history, [None if g is None else g.contiguous() for g in grads])
        return None, None, *gradients(ctx.q, ctx.p, inputs, history, made, wanted)


def _differentiable(
    q: Request, p: Program, tensors: Sequence[Tensor | None], wanted: Sequence[bool], grads: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """The gradients again, as differentiable functions: by the reference engine, from the same inputs."""
    inputs = Inputs.of(p, list(tensors))
    answer = reference.run(_request(q, p, inputs))
    outputs = [answer.y, *answer.state.values()]
    if answer.states is not None:
        outputs += [answer.states[n] for n in p.states[1:]]
    pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if g is not None and o.requires_grad]
    targets = [t for t, want in zip(tensors, wanted, strict=True) if want and t is not None]
    found = iter(
        torch.autograd.grad([o for o, _ in pairs], targets, [g for _, g in pairs], create_graph=True, allow_unused=True)
    )
    return [next(found) if want and t is not None else None for t, want in zip(tensors, wanted, strict=True)]


def _request(q: Request, p: Program, inputs: Inputs) -> Request:
    b, b_r = None, None
    if inputs.bias is not None:
        parts = dict(zip(p.arrivals, inputs.bias.split(q.hidden), strict=True))
        b = torch.cat([parts[f"{n}_x" if n in p.split else n] for n in p.gates])
        b_r = torch.cat([parts[f"{n}_r"] for n in p.split]) if p.split else None
    units = dict(zip(p.units + p.constants, inputs.units, strict=True))
    weights = Weights(inputs.w, inputs.r, b, b_r, units)
    given = {n: v for n, v in zip(p.states, inputs.state, strict=True) if v is not None}
    state = given or None
    return q._replace(x=inputs.x, weights=weights, state=state)
