"""Gradients of inputs and weights from those of the pre-activations: a few large products after the loop."""

from collections.abc import Sequence

import torch
from torch import Tensor

from karussell.ops.recurrence.invoke import Backward, Inputs
from karussell.ops.recurrence.request import Request
from karussell.program import Program
from karussell.program.program import StageProgram


def gradients(
    q: Request, p: Program, inputs: Inputs, history: dict[int, Tensor], made: Backward, wanted: Sequence[bool]
) -> list[Tensor | None]:
    """Gradients in the flat order of the inputs; None where none is wanted."""
    steps, batch, width = inputs.x.shape
    hidden, count = q.hidden, len(p.states)
    flat = made.lines.view(steps * batch, -1)

    def columns(first: int, number: int) -> Tensor:
        return flat[:, first * hidden : (first + number) * hidden]

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
    rest = wanted[3 + len(dr) :]
    states = [g if want else None for g, want in zip(made.state, rest, strict=False)]
    units = [made.units.get(p.first_fixed + k) if want else None for k, want in enumerate(rest[count:])]
    return [dx, dw, made.bias if wanted[2] else None, *dr, *states, *units]


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
    for value in s.sees:
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
    stage_gates = [g for g in p.gates if g in {a if a in p.gates else a[:-2] for a in s.arrivals}]
    return _place([(torch.cat(found, 1), _rows(s.arrivals[s.alone :], stage_gates))], len(stage_gates), q.hidden)


def _first_step(q: Request, d: Tensor, batch: int) -> Tensor:
    """The rows of d at each sequence's first computed step, whose state before is the initial one."""
    if not q.reverse:
        return d[:batch]
    if q.lengths is None:
        return d[-batch:]
    # rows of length 0 computed nothing; any step of theirs is zero
    last = (q.lengths - 1).clamp(min=0)
    return d[last * batch + torch.arange(batch)]
