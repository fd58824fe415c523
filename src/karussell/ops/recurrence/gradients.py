"""Gradients of inputs and weights from those of the pre-activations: a few large products after the loop."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from karussell.ops.noise import uniform
from karussell.ops.recurrence.extras import DEVIATION, NORMAL, input_gradients
from karussell.ops.recurrence.invoke import Backward, Inputs
from karussell.ops.recurrence.options import SEEN
from karussell.ops.recurrence.request import Request
from karussell.program import Program
from karussell.program.program import StageProgram


def gradients(
    q: Request, p: Program, inputs: Inputs, history: dict[int, Tensor], made: Backward, wanted: Sequence[bool]
) -> list[Tensor | None]:
    """Gradients in the flat order of the inputs; None where none is wanted."""
    steps, batch, width = inputs.x.shape
    hidden = q.hidden
    flat = made.lines.view(steps * batch, -1)

    def columns(first: int, number: int) -> Tensor:
        return flat[:, first * hidden : (first + number) * hidden]

    if q.normed:
        return _normed(q, p, inputs, history, made, wanted, columns)
    fed = [
        (columns(start, s.alone + s.joined), _rows(s.arrivals[: s.alone + s.joined], p.fed))
        for s, start in zip(p.stages, p.columns, strict=True)
        if s.fed
    ]
    dx = dw = None
    if wanted[0]:
        parts = [d @ _take(inputs.w, rows, hidden) for d, rows in fed]
        dx = sum(parts[1:], parts[0]).view(steps, batch, width)
    if wanted[1]:
        x = inputs.x if q.lengths is None else _cleared(q, inputs.x)
        x = x.view(steps * batch, width)
        dw = _place([(d.T @ x, rows) for d, rows in fed], len(p.fed), hidden)
    dr: list[Tensor | None] = []
    seeing = [(s, start) for s, start in zip(p.stages, p.columns, strict=True) if s.sees]
    for (s, start), want in zip(seeing, wanted[3:], strict=False):
        number = len(s.arrivals) - s.alone
        dr.append(_recurrent(q, p, s, inputs, history, columns(start + s.alone, number)) if want else None)
    found = [dx, dw, made.bias if wanted[2] else None, *dr, *_others(p, made, wanted[3 + len(dr) :])]
    return [*found, *[None] * (len(wanted) - len(found))]


def _others(p: Program, made: Backward, rest: Sequence[bool]) -> list[Tensor | None]:
    """The gradients that the loop itself gives: of states, units and starts."""
    count, fixed = len(p.states), len(p.units) + len(p.constants)
    states = [g if want else None for g, want in zip(made.state, rest, strict=False)]
    units = [made.units.get(p.first_fixed + k) if want else None for k, want in enumerate(rest[count : count + fixed])]
    starts = [g if want else None for g, want in zip(made.start, rest[count + fixed :], strict=False)]
    return [*states, *units, *starts]


def _normed(
    q: Request,
    p: Program,
    inputs: Inputs,
    history: dict[int, Tensor],
    made: Backward,
    wanted: Sequence[bool],
    columns: Callable[[int, int], Tensor],
) -> list[Tensor | None]:
    """The same under layer norm, where what W and R gave has gradients of its own."""
    hidden = q.hidden
    rows: dict[str, Tensor] = {}
    for s, start in zip(p.stages, p.columns, strict=True):
        for k, arrival in enumerate(s.arrivals[: s.alone + s.joined] if s.fed else ()):
            rows[arrival if arrival in p.fed else arrival[:-2]] = columns(start + k, 1)
    dz = torch.cat([rows[gate] for gate in p.fed], 1)
    d, d_gain = input_gradients(q, inputs, (history[NORMAL], history[DEVIATION]), dz)
    x = inputs.x if q.lengths is None else _cleared(q, inputs.x)
    dx = (d @ inputs.w).view_as(inputs.x) if wanted[0] else None
    dw = d.T @ x.reshape(-1, x.shape[2]) if wanted[1] else None
    dr, gains, at = [], [], 0
    seeing = [s for s in p.stages if s.sees]
    assert made.sent is not None
    for s, gain in zip(seeing, made.gains, strict=True):
        number = len(s.arrivals) - s.alone
        dr.append(_recurrent(q, p, s, inputs, history, made.sent[:, at * hidden : (at + number) * hidden]))
        gains.append(_ordered(p, s, gain, hidden))
        at += number
    others = _others(p, made, wanted[3 + len(dr) :])
    found = [dx, dw, made.bias, *dr, *others]
    found += [None] * (len(wanted) - len(found) - 1 - len(gains))
    return [g if want else None for g, want in zip([*found, d_gain, *gains], wanted, strict=True)]


def _ordered(p: Program, s: StageProgram, gain: Tensor, hidden: int) -> Tensor:
    """A gain in the program's order put into the parameter's."""
    gates = _stage_gates(p, s)
    return _place([(gain, _rows(s.arrivals[s.alone :], gates))], len(gates), hidden)


def _stage_gates(p: Program, s: StageProgram) -> list[str]:
    mine = {a if a in p.gates else a[:-2] for a in s.arrivals}
    return [g for g in p.gates if g in mine]


def _rows(arrivals: Sequence[str], gates: Sequence[str]) -> list[int]:
    """The place of each arrival's gate among `gates`."""
    return [gates.index(a if a in gates else a[:-2]) for a in arrivals]


def _take(w: Tensor, rows: list[int], hidden: int) -> Tensor:
    """The blocks of rows of the arrivals, in their order."""
    if rows == list(range(rows[0], rows[0] + len(rows))):
        return w[rows[0] * hidden : (rows[0] + len(rows)) * hidden]
    return torch.cat([w[k * hidden : (k + 1) * hidden] for k in rows])


def _place(parts: list[tuple[Tensor, list[int]]], gates: int, hidden: int) -> Tensor:
    """The inverse of taking: blocks back where the parameter has them."""
    blocks: list[Tensor | None] = [None] * gates
    if len(parts) == 1 and parts[0][1] == list(range(gates)):
        return parts[0][0]
    for matrix, rows in parts:
        for block, row in zip(matrix.split(hidden), rows, strict=True):
            blocks[row] = block
    return torch.cat([b for b in blocks if b is not None])


def _cleared(q: Request, x: Tensor) -> Tensor:
    # what lies beyond a row's length may be nan, and 0 * nan is nan
    assert q.lengths is not None
    valid = torch.arange(x.shape[0])[:, None] < q.lengths
    return torch.where(valid[..., None], x, torch.zeros_like(x))


def _recurrent(
    q: Request, p: Program, s: StageProgram, inputs: Inputs, history: dict[int, Tensor], d: Tensor
) -> Tensor:
    """The gradient of one stage's R: what its arrivals got, times what it saw."""
    batch, count = inputs.x.shape[1], len(p.states)
    found = []
    if not q.plain:
        seen = torch.cat([_seen(q, inputs, history, value, count) for value in s.sees], -1)
        mask = _mask(q, p, s, seen.shape[-1], batch)
        seen = seen if mask is None else seen * mask.to(seen.dtype)
        found.append(d.T @ seen.view(-1, seen.shape[-1]))
    for value in s.sees if q.plain else ():
        if value >= count:  # passed between stages: of this very step
            found.append(d.T @ history[value].view(-1, q.hidden))
            continue
        after = history[value + count].view(-1, q.hidden)
        now, before = (d[:-batch], after[batch:]) if q.reverse else (d[batch:], after[:-batch])
        initial = inputs.state[value]
        grad = None if initial is None else _first_step(q, d, batch).T @ initial
        if grad is None:
            found.append(now.T @ before)
        else:
            found.append(torch.addmm(grad, now.T, before) if now.shape[0] else grad)
    stage_gates = _stage_gates(p, s)
    return _place([(torch.cat(found, 1), _rows(s.arrivals[s.alone :], stage_gates))], len(stage_gates), q.hidden)


def _seen(q: Request, inputs: Inputs, history: dict[int, Tensor], value: int, count: int) -> Tensor:
    """What R multiplied at every step, [T, B, H], where options may have changed it."""
    if value >= count:
        return history[value]
    after, batch = history[value + count], inputs.x.shape[1]
    initial = inputs.state[value]
    first = after.new_zeros(after.shape[1:]) if initial is None else initial
    if q.reverse:
        before = torch.cat([after[1:], first[None]])
        if q.lengths is not None:
            last = (q.lengths - 1).clamp(min=0)
            before[last, torch.arange(batch)] = first
    else:
        before = torch.cat([first[None], after[:-1]])
    if q.resets is None:
        return before
    anew = q.resets
    if q.reverse:
        anew = torch.cat([anew[1:], anew.new_zeros(1, batch)])
    start = inputs.start[value] if inputs.start else None
    return torch.where(anew[..., None], torch.zeros_like(first) if start is None else start, before)


def _mask(q: Request, p: Program, s: StageProgram, columns: int, batch: int) -> Tensor | None:
    """Gal's mask on what R saw, [B, columns]."""
    o = q.options
    if not (o.training and o.dropout and o.dropout_on == "seen"):
        return None
    number = [t for t in p.stages if t.sees].index(s)
    kept = uniform(q.noise, SEEN + number, 0, batch, columns) >= o.dropout
    return kept.to(torch.float64) / (1 - o.dropout)


def _first_step(q: Request, d: Tensor, batch: int) -> Tensor:
    """The rows of d at each sequence's first computed step, whose state before is the initial one."""
    if not q.reverse:
        return d[:batch]
    if q.lengths is None:
        return d[-batch:]
    # rows of length 0 computed nothing; any step of theirs is zero
    last = (q.lengths - 1).clamp(min=0)
    return d[last * batch + torch.arange(batch)]
