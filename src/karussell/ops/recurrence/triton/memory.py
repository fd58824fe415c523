"""What a call's kernels read and write: directions stacked, rows of weights in the program's order."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from karussell.ops.noise import key
from karussell.ops.recurrence import extras
from karussell.ops.recurrence.inputs import Inputs
from karussell.ops.recurrence.options import CANDIDATE, SEEN, ZONEOUT
from karussell.ops.recurrence.request import Request
from karussell.ops.recurrence.triton.plan import Plan, edges, fed, fed_rows, key_names, product_rows, products, slots
from karussell.ops.recurrence.triton.schedule import Schedule
from karussell.program import Program

Values = dict[str, Tensor | int | float]


class Kept(NamedTuple):
    """What a forward call leaves to the backward one, by the names of arguments; normalised inputs by direction."""

    values: dict[str, Tensor]
    normal: tuple[tuple[Tensor, Tensor], ...]


def plan_of(q: Request, p: Program, s: Schedule, keep: bool, flows: tuple[int, ...] = (), bias: bool = False) -> Plan:
    """The variant of the kernels that this request needs."""
    o, count = q.options, len(p.states)
    shown = {count} | (set(p.history) if keep else set()) | (set(range(count, 2 * count)) if q.every_state else set())
    given = [n for n in p.inputs if n != "drop" or not extras.drops(q)]
    return Plan(
        kind=s.kind,
        tiles=s.tiles,
        ragged=q.lengths is not None,
        resets=q.resets is not None,
        training=o.training,
        zone=tuple(i for i, n in enumerate(p.states) if o.zoneout.get(n)),
        clip=tuple(i for i, n in enumerate(p.states) if o.clip.get(n)),
        fresh=tuple(extras.zoned(q, p)) if keep or flows else (),
        drop=extras.drops(q),
        gal=o.training and o.dropout > 0 and o.dropout_on == "seen",
        normed=q.normed,
        bias=bias,
        wide=tuple(n in given and q.inputs[n].shape[-1] != 1 for n in p.inputs),
        shown=tuple(sorted(shown)),
        keep=keep,
        flows=flows,
    )


def numbers(q: Request, p: Program) -> Values:
    """The sizes and rates."""
    steps, batch = q.x.shape[:2]
    o = q.options
    found: Values = {"T": steps, "B": batch, "H": q.hidden, "reverse": int(q.reverse)}
    for i, name in enumerate(p.states):
        rate = o.zoneout.get(name, 0.0)
        found[f"clip{i}"] = float(o.clip.get(name, 0.0))
        found[f"zone{i}"] = extras.limit(rate) if o.training else rate
    found |= {"drop_limit": extras.limit(o.dropout), "drop_scale": 1 / (1 - o.dropout)}
    return found


def common(qs: Sequence[Request], p: Program, inputs: Sequence[Inputs], plan: Plan) -> dict[str, Tensor]:
    """What both directions of time read."""
    q, x = qs[0], qs[0].x
    shape = (x.shape[1], q.hidden)
    found: dict[str, Tensor] = {}

    def states(of: Sequence[tuple[Tensor | None, ...]]) -> Tensor:
        # zeros that nothing reads need no more than their address
        parts = [[x.new_zeros(shape) if v is None else v for v in one or (None,) * len(p.states)] for one in of]
        return torch.stack([torch.stack(one) for one in parts])

    found["initial"] = states([one.state for one in inputs])
    if plan.resets:
        found["start"] = states([one.start for one in inputs])
        assert q.resets is not None
        found["resets"] = q.resets.to(torch.uint8).contiguous()
    if q.lengths is not None:
        found["lengths"] = q.lengths.contiguous()
    if inputs[0].units:
        found["fixed"] = torch.stack([torch.stack(list(one.units)) for one in inputs])
    for n, name in enumerate(p.inputs):
        if name in q.inputs:
            found[f"input{n}"] = torch.stack([each.inputs[name] for each in qs])
    names = key_names(p, plan)
    if names:
        keys = [[_key(each, p, name) for name in names] for each in qs]
        found["keys"] = torch.tensor(keys, dtype=torch.int64).to(x.device, non_blocking=True)
    if plan.normed:
        for n, (k, stage) in enumerate((k, s) for k, s in enumerate(p.stages) if s.sees):
            found[f"gain{k}"] = torch.stack([extras.gain(p, stage, one.norm_r[n], q.hidden) for one in inputs])
    return found


def _key(q: Request, p: Program, name: str) -> int:
    if name == "drop":
        purpose = CANDIDATE
    elif name.startswith("zone"):
        purpose = ZONEOUT + int(name[4:])
    else:
        purpose = SEEN + [k for k, s in enumerate(p.stages) if s.sees].index(int(name[3:]))
    found = key(q.noise, purpose)
    return found - (1 << 64) if found >> 63 else found


def rows(w: Tensor, order: list[int], hidden: int) -> Tensor:
    """Blocks of rows in another order, or some of them."""
    return (
        w
        if order == list(range(w.shape[0] // hidden))
        else torch.cat([w[k * hidden : (k + 1) * hidden] for k in order])
    )


def matrices(p: Program, inputs: Sequence[Inputs], hidden: int, turned: bool) -> dict[str, Tensor]:
    """The recurrent matrices [D, products * H, sees * H] by stage, or turned [D, sees * H, products * H]."""
    found = {}
    for n, k in enumerate(k for k, s in enumerate(p.stages) if s.sees):
        each = [rows(one.r[n], product_rows(p, p.stages[k]), hidden) for one in inputs]
        found[f"r{k}"] = torch.stack([r.T for r in each] if turned else each)
    return found


def input_products(qs: Sequence[Request], p: Program, inputs: Sequence[Inputs]) -> tuple[Tensor, Kept]:
    """zx [D, T, B, fed arrivals * H] with biases, and under layer norm what it made of W x."""
    q, hidden, order = qs[0], qs[0].hidden, fed_rows(p)
    steps, batch = q.x.shape[:2]
    z = q.x.new_empty(len(qs), steps * batch, len(order) * hidden)
    places = [p.arrivals.index(a) for a in fed(p)]
    normal = []
    for one, out in zip(inputs, z, strict=True):
        bias = None if one.bias is None else rows(one.bias, places, hidden)
        if one.norm_x is not None:
            kept = extras.normal_inputs(q, p, one)
            normal.append(kept)
            made = (kept[0] * one.norm_x.view(-1, hidden))[:, order].flatten(1)
            torch.add(made, 0 if bias is None else bias, out=out)
            continue
        x = clear(one.x, q.lengths).view(steps * batch, -1)
        w = rows(one.w, order, hidden)
        if bias is None:
            torch.mm(x, w.T, out=out)
        else:
            torch.addmm(bias, x, w.T, out=out)
    return z.view(len(qs), steps, batch, -1), Kept({}, tuple(normal))


def clear(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x without what lies beyond the rows' lengths, which may be anything: 0 * nan is nan."""
    if lengths is None:
        return x
    valid = torch.arange(x.shape[0], device=x.device)[:, None] < lengths
    return torch.where(valid[..., None], x, torch.zeros((), dtype=x.dtype, device=x.device))


def written(qs: Sequence[Request], p: Program, plan: Plan) -> dict[str, Tensor]:
    """Memory for what the forward kernels write. Courses of ragged rows are zero where nothing is written."""
    q = qs[0]
    shape = (len(qs), *q.x.shape[:2])

    def make(*width: int) -> Tensor:
        return (q.x.new_zeros if plan.ragged else q.x.new_empty)(*shape, *width)

    found = {f"h{v}": make(q.hidden) for v in plan.shown}
    if plan.keep:
        found["saved"] = make(max(p.saved, 1) * q.hidden)
        found |= {f"fresh{i}": make(q.hidden) for i in plan.fresh}
        if plan.normed:
            every = sum(map(products, p.stages))
            found |= {"norms": make(every * q.hidden), "scales": q.x.new_empty(*shape, every, dtype=torch.float32)}
    return found


def exchange(qs: Sequence[Request], p: Program, parities: int) -> dict[str, Tensor]:
    """What R multiplies, as programs leave it to each other: [parities, D, B, sees * H] by stage."""
    q, batch = qs[0], qs[0].x.shape[1]
    stages = {e.stage for e in edges(p)}
    return {f"x{k}": q.x.new_empty(parities, len(qs), batch, len(p.stages[k].sees) * q.hidden) for k in sorted(stages)}


def scratch(q: Request, p: Program, directions: int, backward: bool) -> Tensor:
    """The numbers that outlive a kernel, float32."""
    shape = (directions, len(slots(p, backward)), q.x.shape[1], q.hidden)
    return torch.zeros(shape, dtype=torch.float32, device=q.x.device)
