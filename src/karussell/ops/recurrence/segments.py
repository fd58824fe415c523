"""Long sequences in little memory: stored values are made again, piece by piece, when the gradients are.

    recompute="segments"   kept: the states at the beginning of each piece. Backward runs every piece forward once more
    recompute="gates"      kept: the states of every step. Backward makes the gates of a piece from them at once, as
                           one step of many rows, and waits for no step; with options it runs the piece instead

Both cost about one more forward pass (Chen et al. 2016; Gruslys et al. 2016), and change no gradient.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from karussell.ops.context import no_autocast
from karussell.ops.recurrence.gradients import gradients
from karussell.ops.recurrence.higher import gradients_again, wanted_again
from karussell.ops.recurrence.inputs import Inputs
from karussell.ops.recurrence.invoke import Forward, backward, forward
from karussell.ops.recurrence.request import Request
from karussell.program import Program

States = tuple[Tensor | None, ...]


class Piece(NamedTuple):
    """Steps `first` to `last` of a sequence, and the request that runs them."""

    first: int
    last: int
    q: Request


def run(q: Request, p: Program, tensors: Sequence[Tensor | None]) -> Sequence[Tensor]:
    """y, the final states, and the other states at every step where they are shown."""
    return _Segments.apply(q, p, *tensors)


def size(p: Program, steps: int) -> int:
    """Steps a piece, such that what is kept between pieces and what one piece keeps are about as much."""
    kept, inside = len(p.states), p.width + len(p.history) + len(p.states)
    return min(steps, max(16, round(math.sqrt(steps * kept / inside))))


def _pieces(q: Request, p: Program, steps: int) -> list[Piece]:
    """In the order in which they are run."""
    each, found = size(p, steps), []
    for a in range(0, steps, each):
        b = min(a + each, steps)
        lengths = None if q.lengths is None else (q.lengths - a).clamp(0, b - a)
        resets = None if q.resets is None else q.resets[a:b]
        inputs = {name: value[a:b] for name, value in q.inputs.items()}
        found.append(Piece(a, b, q._replace(lengths=lengths, resets=resets, inputs=inputs, first=q.first + a)))
    return found[::-1] if q.reverse else found


def _cut(q: Request, piece: Piece) -> Tensor | None:
    """Backwards: the rows, [B, 1], whose state starts anew between this piece and the one run before it."""
    if q.resets is None or not q.reverse or piece.last >= q.resets.shape[0]:
        return None
    return q.resets[piece.last][:, None]


def _begin(q: Request, piece: Piece, inputs: Inputs, state: States) -> States:
    """The states that a piece begins with, from those that the one before it left."""
    cut = _cut(q, piece)
    if cut is None:
        return state
    starts = inputs.start or (None,) * len(state)
    found = []
    for k, (s, v) in enumerate(zip(starts, state, strict=True)):
        zero = inputs.x.new_zeros(inputs.x.shape[1], q.hidden if k else q.output)
        found.append(torch.where(cut, zero if s is None else s, zero if v is None else v))
    return tuple(found)


class _Segments(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Request, p: Program, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        inputs = _contiguous(p, tensors)
        steps, batch = inputs.x.shape[:2]
        count, all_states = len(p.states), q.every_state or q.recompute == "gates"
        widths = [q.output, *[q.hidden] * (count - 1)]
        courses = [inputs.x.new_empty(steps, batch, n) for n in (widths if all_states else widths[:1])]
        state: States = inputs.state
        pieces = _pieces(q, p, steps)
        begun: list[States] = []
        # one block of memory: small tensors that stay would be scattered among large ones that go
        ends = [inputs.x.new_empty(len(pieces), batch, n) for n in widths]
        for number, piece in enumerate(pieces):
            state = _begin(q, piece, inputs, state)
            begun.append(state)
            x = inputs.x[piece.first : piece.last]
            made = forward(piece.q._replace(every_state=all_states), p, inputs._replace(x=x, state=state), keep=False)
            for s, course in enumerate(courses):
                course[piece.first : piece.last] = made.history[count + s]
            for s, final in enumerate(made.final):
                ends[s][number] = final
            state = tuple(end[number] for end in ends)
        shown = courses[1:] if q.every_state else []
        ctx.q, ctx.p = q._replace(x=None, weights=None, state=None), p  # type: ignore[arg-type]
        ctx.begun = begun
        kept = courses if q.recompute == "gates" else []
        ctx.count = len(tensors)
        ctx.save_for_backward(*tensors, *kept)
        ctx.set_materialize_grads(False)
        return courses[0], *(s.clone() for s in state if s is not None), *shown

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        q, p, tensors, courses = ctx.q, ctx.p, ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        wanted = ctx.needs_input_grad[2:]
        if wanted_again(grads):
            return None, None, *gradients_again(q, p, tensors, wanted, grads)
        with no_autocast("cpu"):
            return None, None, *_gradients(q, p, _contiguous(p, tensors), ctx.begun, courses, grads, wanted)


def _gradients(
    q: Request,
    p: Program,
    inputs: Inputs,
    begun: Sequence[States],
    courses: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    count, steps = len(p.states), inputs.x.shape[0]
    at = 3 + len(inputs.r)  # where the states stand in the flat order
    total: list[Tensor | None] = [None] * len(wanted)
    if wanted[0]:
        total[0] = torch.empty_like(inputs.x)
    flow: list[Tensor | None] = [None if g is None else g.contiguous() for g in grads[1 : 1 + count]]
    shown = (grads[0], *grads[1 + count :])
    each = [want or at <= k < at + count for k, want in enumerate(wanted)]
    for piece, state in reversed(list(zip(_pieces(q, p, steps), begun, strict=True))):
        there = slice(piece.first, piece.last)
        given = inputs._replace(x=inputs.x[there], state=state)
        made = _again(piece, p, given, courses)
        assert made.lines is not None
        flows = [None if g is None else g[there].contiguous() for g in shown]
        back = backward(piece.q, p, given, made.lines, made.history, [flows[0], *flow, *flows[1:]])
        found = gradients(piece.q, p, given, made.history, back, each)
        flow = found[at : at + count]
        for k, grad in enumerate(found):
            if grad is None or at <= k < at + count:
                continue
            if k == 0:
                inputs_grad = total[0]
                assert inputs_grad is not None
                inputs_grad[there] = grad
            else:
                known = total[k]
                total[k] = grad if known is None else known.add_(grad)
        _uncut(q, piece, flow, total, at + count + len(inputs.units))
    total[at : at + count] = [g if want else None for g, want in zip(flow, wanted[at:], strict=False)]
    return total


def _uncut(q: Request, piece: Piece, flow: list[Tensor | None], total: list[Tensor | None], at: int) -> None:
    """What goes back into rows that were cut belongs to their starts."""
    cut = _cut(q, piece)
    if cut is None:
        return
    for s, grad in enumerate(flow):
        if grad is None:
            continue
        to = total[at + s] if at + s < len(total) else None
        if to is not None:
            to.add_(torch.where(cut, grad, torch.zeros_like(grad)))
        flow[s] = torch.where(cut, torch.zeros_like(grad), grad)


def _again(piece: Piece, p: Program, given: Inputs, courses: Sequence[Tensor]) -> Forward:
    """What a forward call of this piece would have kept."""
    q = piece.q
    if not courses or not q.plain:
        return forward(q, p, given, keep=True)
    # every step is a row of its own, whose state before is known
    steps, batch = given.x.shape[:2]
    before = tuple(_before(piece, given, course, s).flatten(0, 1) for s, course in enumerate(courses))
    lengths = None
    if q.lengths is not None:
        lengths = (torch.arange(steps)[:, None] < q.lengths).flatten().to(torch.int64)
    flat = {name: value.reshape(1, steps * batch, -1) for name, value in q.inputs.items()}
    rows = q._replace(lengths=lengths, inputs=flat, reverse=False)
    made = forward(rows, p, given._replace(x=given.x.reshape(1, steps * batch, -1), state=before), keep=True)
    assert made.lines is not None
    history = {v: course.view(steps, batch, -1) for v, course in made.history.items()}
    return Forward(made.final, made.lines.view(steps, batch, -1), history)


def _before(piece: Piece, given: Inputs, course: Tensor, s: int) -> Tensor:
    """A state before every step of the piece, [steps, B, H]."""
    first, last, q = piece
    begin = given.state[s]
    begin = torch.zeros_like(course[0]) if begin is None else begin
    if not q.reverse:
        return torch.cat([begin[None], course[first : last - 1]])
    before = torch.cat([course[first + 1 : last], begin[None]])
    if q.lengths is not None:
        # a row's first computed step is its last valid one
        ends = torch.arange(last - first)[:, None] == q.lengths - 1
        before = torch.where(ends[..., None], begin, before)
    return before


def _contiguous(p: Program, tensors: Sequence[Tensor | None]) -> Inputs:
    return Inputs.of(p, [None if t is None else t.contiguous() for t in tensors])
