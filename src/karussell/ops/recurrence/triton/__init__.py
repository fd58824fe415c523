"""The Triton engine: any cell's program printed as kernels for CUDA devices, forward and backward.

float32, bfloat16 and float16; states and sums are float32. Input products and the gradients of weights are torch's,
before and after the loop. With TRITON_INTERPRET=1 the same kernels run on the CPU, to be tested.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from karussell.native import triton as available
from karussell.ops.recurrence import reference
from karussell.ops.recurrence.cpp import flatten, program_of, runs
from karussell.ops.recurrence.higher import gradients_again, wanted_again
from karussell.ops.recurrence.inputs import Inputs
from karussell.ops.recurrence.request import Answer, Request
from karussell.program import Program

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def why_not(q: Request) -> str | None:
    """Why this engine cannot run the request, in a few words; None if it can."""
    reason = available.why_not(q.x.device)
    if reason is not None:
        return reason
    if torch.compiler.is_compiling():
        return "it is no operator of torch.compile and torch.export yet"
    if q.x.dtype not in DTYPES:
        return f"it computes in float32, bfloat16 and float16, not in {q.x.dtype}"
    if q.weights.p is not None:
        return "it has no projection yet"
    if q.recompute != "none":
        return "it keeps what backward reads, and computes nothing again yet"
    made = runs(q) or program_of(q)
    return made if isinstance(made, str) else None


def run(q: Request) -> Answer:
    """Run one direction."""
    return run_together([q])[0]


def run_together(qs: Sequence[Request]) -> list[Answer]:
    """Run one request; or two of one cell and one shape, the second of them reverse, in one launch."""
    if qs[0].x.shape[1] == 0:
        return [reference.run(q) for q in qs]
    p = program_of(qs[0])
    assert isinstance(p, Program)
    flats = [flatten(q, p) for q in qs]
    tensors = [t for flat in flats for t in flat]
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        outputs = _Recurrence.apply(tuple(qs), p, *tensors)
    else:
        outputs = _forward(qs, p, tensors, keep=False)[0]
    return [_answer(q, p, outputs[d :: len(qs)]) for d, q in enumerate(qs)]


def _answer(q: Request, p: Program, outputs: Sequence[Tensor]) -> Answer:
    count = len(p.states)
    y, state = outputs[0], dict(zip(p.states, outputs[1 : 1 + count], strict=True))
    states = dict(zip(p.states, (y, *outputs[1 + count :]), strict=True)) if q.every_state else None
    return Answer(y, state, states)


def _inputs(p: Program, tensors: Sequence[Tensor | None], directions: int) -> list[Inputs]:
    size = len(tensors) // directions
    flat = [None if t is None else t.contiguous() for t in tensors]
    return [Inputs.of(p, flat[d * size : (d + 1) * size]) for d in range(directions)]


def _forward(qs: Sequence[Request], p: Program, tensors: Sequence[Tensor | None], keep: bool) -> Any:
    """y, final states, other states if shown, each by direction; and what the call left."""
    from karussell.ops.recurrence.triton import launch

    made, count = launch.forward(qs, p, _inputs(p, tensors, len(qs)), keep), len(p.states)
    shown = [made.courses[count + i] for i in range(1, count)] if qs[0].every_state else []
    values = [made.courses[count], *made.final.unbind(1), *shown]
    return tuple(v[d] for v in values for d in range(len(qs))), made.kept


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qs: tuple[Request, ...], p: Program, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        outputs, kept = _forward(qs, p, tensors, keep=True)
        # x comes back among the saved tensors
        ctx.qs = [q._replace(x=None, weights=None, state=None) for q in qs]  # type: ignore[arg-type]
        ctx.p, ctx.names, ctx.count = p, tuple(kept.values), len(tensors)
        normal = [t for pair in kept.normal for t in pair]
        ctx.save_for_backward(*tensors, *kept.values.values(), *normal)
        ctx.set_materialize_grads(False)
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        from karussell.ops.recurrence.triton import launch
        from karussell.ops.recurrence.triton.gradients import gradients
        from karussell.ops.recurrence.triton.memory import Kept

        p, number, saved = ctx.p, len(ctx.qs), ctx.saved_tensors
        tensors, rest = saved[: ctx.count], saved[ctx.count :]
        size, wanted = ctx.count // number, ctx.needs_input_grad[2:]
        qs = [q._replace(x=tensors[d * size]) for d, q in enumerate(ctx.qs)]
        parts = [slice(d * size, (d + 1) * size) for d in range(number)]
        flows = [[None if g is None else g.contiguous() for g in grads[d::number]] for d in range(number)]
        each = list(zip(range(number), qs, parts, strict=True))
        if wanted_again(grads):
            again = [gradients_again(q, p, tensors[s], wanted[s], grads[d::number]) for d, q, s in each]
            return None, None, *(g for one in again for g in one)
        names = ctx.names
        pairs = tuple(zip(rest[len(names) :: 2], rest[len(names) + 1 :: 2], strict=True))
        kept = Kept(dict(zip(names, rest, strict=False)), pairs)
        inputs = _inputs(p, tensors, number)
        back = launch.backward(qs, p, inputs, kept, flows)
        found = [gradients(q, p, inputs[d], kept, back, d, wanted[s]) for d, q, s in each]
        return None, None, *(g for one in found for g in one)
