"""Gradients of inputs and weights from those of the arrivals: torch's products after the loop, in a fixed order.

No number is looked at on the host: rows beyond their length have gradients of zero, and what a step found before it
is put together from the course of the state, the initial state and the start.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from karussell.ops.noise import uniform
from karussell.ops.recurrence.extras import input_gradients
from karussell.ops.recurrence.inputs import Inputs
from karussell.ops.recurrence.options import SEEN
from karussell.ops.recurrence.request import Request
from karussell.ops.recurrence.triton.launch import Back
from karussell.ops.recurrence.triton.memory import Kept, clear, rows
from karussell.ops.recurrence.triton.plan import fed_rows, first_arrival, first_product, product_rows, products
from karussell.program import Program


def gradients(
    q: Request, p: Program, inputs: Inputs, kept: Kept, back: Back, d: int, wanted: Sequence[bool]
) -> list[Tensor | None]:
    """The gradients of direction `d` in the flat order of its inputs; None where none is wanted."""
    count, dtype = len(p.states), q.x.dtype
    dz = back.dz[d].flatten(0, 1)
    slots = {n: v[d] for n, v in back.slots.items()}
    dx, dw, d_norm = _inputs(q, p, inputs, kept, dz, d, wanted)
    bias = dz.sum(0, dtype=torch.float32).to(dtype) if wanted[2] else None
    dr = [_recurrent(q, p, k, inputs, kept, back, d) for k, s in enumerate(p.stages) if s.sees]
    states = [slots[f"c{i}"].to(dtype) for i in range(count)]
    vectors = range(p.first_fixed, p.first_fixed + len(p.units) + len(p.constants))
    units = [slots[f"a{v}"].sum(0).to(dtype) if f"a{v}" in slots else None for v in vectors]
    found = [dx, dw, bias, *dr, *states, *units]
    if len(found) < len(wanted):
        found += [slots[f"t{i}"].to(dtype) for i in range(count)]
        found += [d_norm, *(_gain(p, k, slots, dtype) for k, s in enumerate(p.stages) if s.sees and q.normed)]
    return [g if want else None for g, want in zip(found, wanted, strict=True)]


def _inputs(
    q: Request, p: Program, inputs: Inputs, kept: Kept, dz: Tensor, d: int, wanted: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of x, of W, and of the gain of W x."""
    hidden, order = q.hidden, fed_rows(p)
    d_norm: Tensor | None = None
    parts = [
        dz[:, first * hidden : (first + s.alone + s.joined) * hidden]
        for k, s in enumerate(p.stages)
        if s.fed
        for first in (first_arrival(p, k),)
    ]
    back = [order.index(k) for k in range(len(order))]
    if q.normed:
        every = rows(torch.cat(parts, 1).T, back, hidden).T
        every, d_norm = input_gradients(q, inputs, kept.normal[d], every)
        parts, order = [every.to(dz.dtype)], list(range(len(order)))
        back = order
    x = clear(inputs.x, q.lengths).view(dz.shape[0], -1)
    dx = dw = None
    if wanted[0]:
        w, at = rows(inputs.w, order, hidden), 0
        dx = torch.zeros_like(x)
        for part in parts:
            dx.addmm_(part, w[at : at + part.shape[1]])
            at += part.shape[1]
        dx = dx.view(inputs.x.shape)
    if wanted[1]:
        dw = rows(torch.cat([part.T @ x for part in parts]), back, hidden)
    return dx, dw, d_norm


def _recurrent(q: Request, p: Program, k: int, inputs: Inputs, kept: Kept, back: Back, d: int) -> Tensor:
    """The gradient of a stage's R: what its products got, times what they multiplied."""
    s, hidden = p.stages[k], q.hidden
    first = first_product(p, k) if q.normed else first_arrival(p, k) + s.alone
    whole = back.sent if q.normed else back.dz
    assert whole is not None
    given = whole[d].flatten(0, 1)[:, first * hidden : (first + products(s)) * hidden]
    masks = _masks(q, p, k)
    found = []
    for i, v in enumerate(s.sees):
        seen = before(q, p, inputs, kept, v, d)
        seen = seen if masks is None else seen * masks[:, i * hidden : (i + 1) * hidden]
        found.append(given.T @ seen.view(-1, hidden))
    order = product_rows(p, s)
    return rows(torch.cat(found, 1), [order.index(n) for n in range(len(order))], hidden)


def before(q: Request, p: Program, inputs: Inputs, kept: Kept, v: int, d: int) -> Tensor:
    """The course of what R multiplied, [T, B, H]: of a value between stages, or of a state before every step."""
    count = len(p.states)
    if v >= count:
        return kept.values[f"h{v}"][d]
    after, reverse = kept.values[f"h{v + count}"][d], q.reverse or d > 0
    initial = inputs.state[v]
    first = torch.zeros_like(after[0]) if initial is None else initial
    found = torch.cat([after[1:], first[None]] if reverse else [first[None], after[:-1]])
    steps = torch.arange(len(after), device=after.device)[:, None]
    if reverse and q.lengths is not None:
        found = torch.where((steps == q.lengths - 1)[..., None], first, found)
    if q.resets is None:
        return found
    start = inputs.start[v] if inputs.start else None
    anew = torch.cat([q.resets[1:], torch.zeros_like(q.resets[:1])]) if reverse else q.resets
    return torch.where(anew[..., None], torch.zeros_like(first) if start is None else start, found)


def _masks(q: Request, p: Program, k: int) -> Tensor | None:
    """Gal's masks on what a stage's R multiplies, [B, sees * H]."""
    o = q.options
    if not (o.training and o.dropout and o.dropout_on == "seen"):
        return None
    number = [j for j, s in enumerate(p.stages) if s.sees].index(k)
    width = len(p.stages[k].sees) * q.hidden
    time = torch.zeros(1, dtype=torch.int64, device=q.x.device)
    kept = uniform(q.noise, SEEN + number, time, q.x.shape[1], width)[0] >= o.dropout
    return kept.to(q.x.dtype) / (1 - o.dropout)


def _gain(p: Program, k: int, slots: dict[str, Tensor], dtype: torch.dtype) -> Tensor:
    """The gradient of a stage's gain, in the parameter's order."""
    order, first = product_rows(p, p.stages[k]), first_product(p, k)
    return torch.cat([slots[f"q{first + order.index(n)}"].sum(0) for n in range(len(order))]).to(dtype)
