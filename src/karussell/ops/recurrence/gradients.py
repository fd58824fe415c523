"""Gradients of inputs and weights from those of the pre-activations: a few large products after the loop."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from karussell.ops.noise import uniform
from karussell.ops.recurrence.extras import DEVIATION, MADE, NORMAL, input_gradients
from karussell.ops.recurrence.invoke import Backward, Inputs
from karussell.ops.recurrence.large import ALL, Rows, inner, outer
from karussell.ops.recurrence.options import SEEN
from karussell.ops.recurrence.request import Request
from karussell.ops.recurrence.structure import structure
from karussell.program import Program
from karussell.program.program import StageProgram

Places = tuple[int, ...]


class Lines(NamedTuple):
    """Which of the T * B rows count, and where the state before each of them is.

    valid    the rows within their sequences
    history  (rows, rows of the step before): the state came from there
    initial  (rows, rows of the batch): it was the initial one
    start    (rows, rows of the batch): it was what a reset restores
    """

    valid: Rows
    history: tuple[Rows, Rows]
    initial: tuple[Rows, Rows]
    start: tuple[Rows, Rows] | None


def gradients(
    q: Request, p: Program, inputs: Inputs, history: dict[int, Tensor], made: Backward, wanted: Sequence[bool]
) -> list[Tensor | None]:
    """Gradients in the flat order of the inputs; None where none is wanted."""
    hidden, lines = q.hidden, _lines(q, *inputs.x.shape[:2])
    flat = made.lines

    def columns(first: int, number: int) -> Tensor:
        return flat if number == p.width else flat[:, first * hidden : (first + number) * hidden]

    if q.normed:
        return _normed(q, p, inputs, history, made, wanted, columns)
    fed = [
        (columns(start, s.alone + s.joined), _rows(s.arrivals[: s.alone + s.joined], p.fed))
        for s, start in zip(p.stages, p.columns, strict=True)
        if s.fed
    ]
    dx = _inputs(q, inputs, fed, lines.valid) if wanted[0] else None
    x = inputs.x.view(flat.shape[0], -1)
    dw = _place([(_outer(d, x, lines.valid), rows) for d, rows in fed], len(p.fed), hidden) if wanted[1] else None
    dr: list[Tensor | None] = []
    seeing = [(s, start) for s, start in zip(p.stages, p.columns, strict=True) if s.sees]
    for (s, start), want in zip(seeing, wanted[3:], strict=False):
        number = len(s.arrivals) - s.alone
        d = columns(start + s.alone, number)
        dr.append(_recurrent(q, p, s, inputs, history, d, lines) if want else None)
    found = [dx, dw, made.bias if wanted[2] else None, *dr, *_others(p, made, wanted[3 + len(dr) :])]
    found += [None] * (len(wanted) - len(found))
    return _projected(found, history, made, lines, wanted)


def _projected(
    found: list[Tensor | None], history: dict[int, Tensor], made: Backward, lines: Lines, wanted: Sequence[bool]
) -> list[Tensor | None]:
    """The gradient of the projection in its place, the last one."""
    if made.output is not None and wanted[-1]:
        found[-1] = _outer(made.output.flatten(0, 1), history[MADE].flatten(0, 1), lines.valid)
    return found


def _lines(q: Request, steps: int, batch: int) -> Lines:
    count, way = steps * batch, -batch if q.reverse else batch
    if q.lengths is None and q.resets is None:
        first, others, before = slice(batch), slice(batch, None), slice(max(count - batch, 0))
        if q.reverse:
            first, others, before = slice(max(count - batch, 0), None), before, others
        return Lines(ALL, (others, before), (first, ALL), None)
    t = torch.arange(steps)[:, None]
    lengths = torch.full((batch,), steps) if q.lengths is None else q.lengths.to("cpu")
    within = t < lengths
    begins = within & ((t == lengths - 1) if q.reverse else (t == 0)).expand(steps, batch)
    anew = torch.zeros_like(within)
    if q.resets is not None:
        resets = q.resets.to("cpu")
        anew = within & (torch.cat([resets[1:], anew[:1]]) if q.reverse else resets)

    def numbers(mask: Tensor) -> Tensor:
        return mask.flatten().nonzero().flatten()

    rows, begun, reset = numbers(within & ~begins & ~anew), numbers(begins & ~anew), numbers(anew)
    valid: Rows = ALL if q.lengths is None else numbers(within)
    return Lines(valid, (rows, rows - way), (begun, begun % batch), (reset, reset % batch))


def _inputs(q: Request, inputs: Inputs, fed: Sequence[tuple[Tensor, Places]], valid: Rows) -> Tensor:
    """The gradient of x; zero beyond a row's length."""
    dx = torch.zeros_like(inputs.x) if q.lengths is not None else torch.empty_like(inputs.x)
    for k, (d, rows) in enumerate(fed):
        inner(d, valid, _take(inputs.w, rows, q.hidden), dx.view(d.shape[0], -1), add=k > 0)
    return dx if fed else dx.zero_()


def _outer(d: Tensor, x: Tensor, rows: Rows) -> Tensor:
    out = d.new_empty(d.shape[1], x.shape[1])
    outer(d, rows, x, rows, out)
    return out


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
    hidden, lines = q.hidden, _lines(q, *inputs.x.shape[:2])
    rows: dict[str, Tensor] = {}
    for s, start in zip(p.stages, p.columns, strict=True):
        for k, arrival in enumerate(s.arrivals[: s.alone + s.joined] if s.fed else ()):
            rows[arrival if arrival in p.fed else arrival[:-2]] = columns(start + k, 1)
    dz = torch.cat([rows[gate] for gate in p.fed], 1)
    d, d_gain = input_gradients(q, inputs, (history[NORMAL], history[DEVIATION]), dz)
    dx = _inputs(q, inputs, [(d, tuple(range(len(p.fed))))], lines.valid) if wanted[0] else None
    dw = _outer(d, inputs.x.view(d.shape[0], -1), lines.valid) if wanted[1] else None
    dr, gains, at = [], [], 0
    seeing = [s for s in p.stages if s.sees]
    assert made.sent is not None
    for s, gain in zip(seeing, made.gains, strict=True):
        number = len(s.arrivals) - s.alone
        dr.append(_recurrent(q, p, s, inputs, history, made.sent[:, at * hidden : (at + number) * hidden], lines))
        gains.append(_ordered(p, s, gain, hidden))
        at += number
    others = _others(p, made, wanted[3 + len(dr) :])
    found = [dx, dw, made.bias, *dr, *others]
    last = [None] * (made.output is not None)
    found += [None] * (len(wanted) - len(found) - 1 - len(gains) - len(last))
    every = _projected([*found, d_gain, *gains, *last], history, made, lines, wanted)
    return [g if want else None for g, want in zip(every, wanted, strict=True)]


def _ordered(p: Program, s: StageProgram, gain: Tensor, hidden: int) -> Tensor:
    """A gain in the program's order put into the parameter's."""
    gates = _stage_gates(p.gates, s.arrivals)
    return _place([(gain, _rows(s.arrivals[s.alone :], gates))], len(gates), hidden)


@lru_cache(maxsize=1024)
def _stage_gates(gates: tuple[str, ...], arrivals: tuple[str, ...]) -> tuple[str, ...]:
    mine = {a if a in gates else a[:-2] for a in arrivals}
    return tuple(g for g in gates if g in mine)


@lru_cache(maxsize=1024)
def _rows(arrivals: tuple[str, ...], gates: tuple[str, ...]) -> Places:
    """The place of each arrival's gate among `gates`."""
    return tuple(gates.index(a if a in gates else a[:-2]) for a in arrivals)


def _take(w: Tensor, rows: Places, hidden: int) -> Tensor:
    """The blocks of rows of the arrivals, in their order."""
    if rows == tuple(range(rows[0], rows[0] + len(rows))):
        first, last = rows[0] * hidden, (rows[0] + len(rows)) * hidden
        return w if last - first == w.shape[0] else w[first:last]
    return torch.cat([w[k * hidden : (k + 1) * hidden] for k in rows])


def _place(parts: list[tuple[Tensor, Places]], gates: int, hidden: int) -> Tensor:
    """The inverse of taking: blocks back where the parameter has them."""
    blocks: list[Tensor | None] = [None] * gates
    if len(parts) == 1 and parts[0][1] == tuple(range(gates)):
        return parts[0][0]
    for matrix, rows in parts:
        for block, row in zip(matrix.split(hidden), rows, strict=True):
            blocks[row] = block
    return torch.cat([b for b in blocks if b is not None])


def _recurrent(
    q: Request,
    p: Program,
    s: StageProgram,
    inputs: Inputs,
    history: dict[int, Tensor],
    d: Tensor,
    lines: Lines,
) -> Tensor:
    """The gradient of one stage's R: what its arrivals got, times what it saw."""
    batch, count, hidden = inputs.x.shape[1], len(p.states), q.hidden
    widths = [q.output if value == 0 else hidden for value in s.sees]
    out = d.new_empty(d.shape[1], sum(widths))
    masks = _masks(q, p, s, widths, (batch, d.dtype))
    blocks = out.split(widths, 1) if len(widths) > 1 else (out,)
    for k, value in enumerate(s.sees):
        block, mask = blocks[k], None if masks is None else masks[k]
        if value >= count:  # passed between stages: of this very step
            _connected(q, d, lines.valid, _masked(history[value], mask).view(-1, hidden), lines.valid, block)
            continue
        after = _masked(history[value + count], mask).view(-1, widths[k])
        parts = [(after, lines.history), (inputs.state[value], lines.initial)]
        parts += [(inputs.start[value], lines.start)] if inputs.start and lines.start else []
        for number, (seen, (rows, there)) in enumerate(parts):
            if number == 0 or seen is not None:
                assert seen is not None
                seen = seen if number == 0 else _masked(seen, mask)
                _connected(q, d, rows, seen, there, block, add=number > 0)
    stage_gates = _stage_gates(p.gates, s.arrivals)
    return _place([(out, _rows(s.arrivals[s.alone :], stage_gates))], len(stage_gates), hidden)


# with more parts than this, small products cost more than the zeros
_MOST_PARTS = 32


def _connected(q: Request, d: Tensor, rows: Rows, seen: Tensor, there: Rows, out: Tensor, add: bool = False) -> None:
    """out (+)= d.T @ seen where R connects; zero elsewhere, unless that costs more than it saves."""
    made, hidden = structure(q.cell, q.hidden), q.hidden
    if made is None or len(made.parts) > _MOST_PARTS:
        return outer(d, rows, seen, there, out, add)
    if not add:
        out.zero_()
    for gate in range(0, d.shape[1], hidden):
        for a, b, first, last in made.parts:
            mine = slice(gate + a, gate + b)
            outer(d[:, mine], rows, seen[:, first:last], there, out[mine, first:last], add)
    return None


def _masked(seen: Tensor, mask: Tensor | None) -> Tensor:
    return seen if mask is None else seen * mask


def _masks(
    q: Request, p: Program, s: StageProgram, widths: Sequence[int], of: tuple[int, torch.dtype]
) -> list[Tensor] | None:
    """Gal's masks on what R saw, by value [B, its units]."""
    batch, dtype = of
    o = q.options
    if not (o.training and o.dropout and o.dropout_on == "seen"):
        return None
    number = [t for t in p.stages if t.sees].index(s)
    kept = uniform(q.noise, SEEN + number, 0, batch, sum(widths)) >= o.dropout
    return list((kept.to(dtype) / (1 - o.dropout)).split(list(widths), 1))
