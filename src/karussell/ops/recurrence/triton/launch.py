"""Runs the kernels of a call: one launch over all steps, or one product and one kernel a stage and step."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from karussell.native.triton import interpreted
from karussell.ops.recurrence.inputs import Inputs
from karussell.ops.recurrence.request import Request
from karussell.ops.recurrence.triton import graph, memory
from karussell.ops.recurrence.triton.memory import Kept, Values
from karussell.ops.recurrence.triton.module import Loaded, load
from karussell.ops.recurrence.triton.plan import first_arrival, first_product, products, slots
from karussell.ops.recurrence.triton.schedule import Schedule, choose
from karussell.program import Program


class Made(NamedTuple):
    """What a forward call leaves: the courses of values by number [D, T, B, H], the final states [D, states, B, H]."""

    courses: dict[int, Tensor]
    final: Tensor
    kept: Kept


class Back(NamedTuple):
    """What a backward call leaves: gradients of all arrivals [D, T, B, arrivals * H]; under layer norm of what R gave
    [D, T, B, all products * H]; of the numbers in the scratch memory, by slot [D, B, H], float32."""

    dz: Tensor
    sent: Tensor | None
    slots: dict[str, Tensor]


def forward(qs: Sequence[Request], p: Program, inputs: Sequence[Inputs], keep: bool) -> Made:
    """Run one or two directions forward; `keep` what the backward call reads."""
    q = qs[0]
    s = _schedule(qs, p)
    plan = memory.plan_of(q, p, s, keep, bias=inputs[0].bias is not None)
    zx, kept = memory.input_products(qs, p, inputs)
    found = memory.written(qs, p, plan)
    values: Values = {**memory.numbers(q, p), **memory.common(qs, p, inputs, plan), **found, "zx": zx}
    values |= memory.matrices(p, inputs, q.hidden, turned=True)
    values["scratch"] = memory.scratch(q, p, len(qs), backward=False)
    if plan.bias:
        values["bias"] = torch.stack([one.bias for one in inputs if one.bias is not None])
    if s.kind != "resident":
        values |= memory.exchange(qs, p, 2 if s.kind == "spread" else 1)
    kernels = load(p, plan, back=False)
    if s.kind == "stepwise":
        written = [n for n in found if any(n in k.arguments for k in kernels.values())]
        key = (p.digest, plan, s, "forward")
        graph.run(key, values, written, not plan.ragged, lambda v: _forward_steps(p, qs, s, kernels, v))
    else:
        _launch(kernels["forward"], s, qs, values)
    final = values["scratch"][:, : len(p.states)].to(q.x.dtype)  # type: ignore[index]
    courses = {v: found[f"h{v}"] for v in plan.shown}
    return Made(courses, final, Kept(found, kept.normal) if keep else Kept({}, ()))


def backward(
    qs: Sequence[Request],
    p: Program,
    inputs: Sequence[Inputs],
    kept: Kept,
    grads: Sequence[Sequence[Tensor | None]],
) -> Back:
    """Run one or two directions backward, from the gradients of y, of the final states, of the other states if shown.

    What was kept is read and left as it is.
    """
    q, count, x = qs[0], len(p.states), qs[0].x
    s = _schedule(qs, p)
    shape = (*x.shape[:2], q.hidden)
    values: Values = {**memory.numbers(q, p), **kept.values}
    flows = []
    for i in range(count):
        each = [one[0] if i == 0 else one[count + i] if len(one) > count + i else None for one in grads]
        if any(g is not None for g in each):
            flows.append(i)
            values[f"g{i}"] = torch.stack([x.new_zeros(shape) if g is None else g for g in each])
    plan = memory.plan_of(q, p, s, keep=True, flows=tuple(flows))
    values |= memory.common(qs, p, inputs, plan)
    values |= memory.matrices(p, inputs, q.hidden, turned=False)
    none = x.new_zeros(shape[1:])
    values["dfinal"] = torch.stack(
        [torch.stack([none if g is None else g for g in one[1 : 1 + count]]) for one in grads]
    )
    make = x.new_zeros if plan.ragged else x.new_empty
    values["dz"] = make(len(qs), *shape[:2], len(p.arrivals) * q.hidden)
    if plan.normed:
        values["sent"] = make(len(qs), *shape[:2], sum(map(products, p.stages)) * q.hidden)
    values["scratch"] = memory.scratch(q, p, len(qs), backward=True)
    # nothing of these is needed once more, and text without them serves more calls
    plan = plan._replace(shown=(), keep=False, bias=False)
    kernels = load(p, plan, back=True)
    if s.kind == "stepwise":
        written = ["dz", "sent"] if plan.normed else ["dz"]
        key = (p.digest, plan, s, "backward")
        graph.run(key, values, written, not plan.ragged, lambda v: _backward_steps(p, qs, s, kernels, v))
    else:
        _launch(kernels["backward"], s, qs, values)
    found = dict(zip(slots(p, backward=True), values["scratch"].unbind(1), strict=True))  # type: ignore[union-attr]
    return Back(values["dz"], values.get("sent"), found)  # type: ignore[arg-type]


def _schedule(qs: Sequence[Request], p: Program) -> Schedule:
    q = qs[0]
    return choose(p, q.hidden, q.x.shape[1], len(qs), q.x.dtype, q.x.device, q.normed)


def _launch(kernel: Loaded, s: Schedule, qs: Sequence[Request], values: Values, step: int | None = None) -> None:
    q, batch = qs[0], qs[0].x.shape[1]
    grid = (-(-batch // s.rows), len(qs), -(-q.hidden // s.units))
    sizes = {n: values[n] for n in ("T", "B", "H", "reverse")}
    given = {n: values[n] for n in kernel.arguments if n != "counter"}
    if "counter" in kernel.arguments:
        given["counter"] = torch.zeros(grid[0] * grid[1], dtype=torch.int32, device=q.x.device)
    more = {} if step is None else {"k": step}
    if not interpreted():
        more |= {"num_warps": s.warps, "num_stages": s.stages}
        more |= {"launch_cooperative_grid": True} if s.kind == "spread" else {}
    kernel.function[grid](
        **given,
        **sizes,
        BB=s.rows,
        UB=s.units,
        KB=s.depth,
        PRECISION="tf32" if torch.backends.cuda.matmul.allow_tf32 else "ieee",
        SIMULATE=interpreted() and q.x.dtype is torch.bfloat16,
        **more,
    )


def _forward_steps(p: Program, qs: Sequence[Request], s: Schedule, kernels: dict[str, Loaded], values: Values) -> None:
    seen = _products(p, qs, values, turned=True)
    _launch(kernels["begin"], s, qs, values)
    for step in range(qs[0].x.shape[0]):
        for k, stage in enumerate(p.stages):
            if stage.sees:
                torch.bmm(values[f"x{k}"][0], values[f"r{k}"], out=seen[k])  # type: ignore[index,arg-type]
            _launch(kernels[f"stage{k}"], s, qs, values, step)


def _backward_steps(p: Program, qs: Sequence[Request], s: Schedule, kernels: dict[str, Loaded], values: Values) -> None:
    q, steps, count = qs[0], qs[0].x.shape[0], len(p.states)
    back = _products(p, qs, values, turned=False)
    values["scratch"][:, :count] = values["dfinal"]  # type: ignore[index]
    for step in reversed(range(steps)):
        for k in reversed(range(len(p.stages))):
            _launch(kernels[f"stage{k}"], s, qs, values, step)
            stage = p.stages[k]
            if not stage.sees:
                continue
            first = first_product(p, k) if q.normed else first_arrival(p, k) + stage.alone
            columns = slice(first * q.hidden, (first + products(stage)) * q.hidden)
            for d in range(len(qs)):
                t = steps - 1 - step if q.reverse or d else step
                given = values["sent" if q.normed else "dz"][d, t, :, columns]  # type: ignore[index]
                torch.mm(given, values[f"r{k}"][d], out=back[k][d])  # type: ignore[index]
    _launch(kernels["end"], s, qs, values, 0)


def _products(p: Program, qs: Sequence[Request], values: Values, turned: bool) -> dict[int, Tensor]:
    """Where the products of a step go, by stage."""
    q, batch = qs[0], qs[0].x.shape[1]
    made = {}
    for k, stage in enumerate(p.stages):
        if stage.sees:
            width = products(stage) if turned else len(stage.sees)
            made[k] = q.x.new_zeros(len(qs), batch, width * q.hidden)
            values[f"p{k}"] = made[k]
    return made
