"""The weights of one recurrence, their shapes, and the dense form that every engine multiplies with."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from karussell.cells import Cell
from karussell.ops.context import remembered


class Weights(NamedTuple):
    """What a recurrence multiplies and adds. Rows stand gate after gate, in the cell's order.

    w       [rows of the fed gates, I]           input weights
    r       one matrix a stage that sees anything: [rows of its gates, columns of what it sees]
    b       [rows of all gates] or None          bias
    b_r     [split gates * H] or None            the bias of the recurrent part of split gates
    units   unit vectors and constants by name, [H]
    norm_x  [fed gates * H] or None              gain of the layer norm of W x
    norm_r  like r, [gates of the stage * H]     gain of the layer norm of R h; None without layer norm
    p       [P, H] or None                       projection of the output state; r then has P columns for it
    """

    w: Tensor
    r: tuple[Tensor, ...] = ()
    b: Tensor | None = None
    b_r: Tensor | None = None
    units: Mapping[str, Tensor] = {}
    norm_x: Tensor | None = None
    norm_r: tuple[Tensor, ...] | None = None
    p: Tensor | None = None


class Shapes(NamedTuple):
    """The shapes of `Weights` for a cell and its sizes."""

    w: tuple[int, int]
    r: tuple[tuple[int, int], ...]
    b: int
    b_r: int
    norm_x: int
    norm_r: tuple[int, ...]


@remembered
def shapes(cell: Cell, inputs: int, hidden: int, projection: int | None = None) -> Shapes:
    """The shapes that this cell's weights must have; raises where blocks or heads do not divide `hidden`."""
    for parts, what in ((cell.block, "blocks of"), (cell.heads, "heads,")):
        if hidden % parts:
            raise ValueError(f"{cell.name}: {hidden} units do not divide by {parts} ({what} {parts})")
    if projection is not None and (cell.heads > 1 or cell.block > 1 or cell.mask is not None):
        raise ValueError(f"{cell.name}: a projection needs a dense recurrent matrix; this cell's is structured")
    if projection is not None:
        _check_projection(cell)
    rows = {q: cell.width(q, hidden) for q in cell.gates}

    def columns(name: str) -> int:
        if projection is not None and name == cell.state[0]:
            return projection
        return cell.width(name, hidden) // cell.heads

    return Shapes(
        w=(sum(rows[q] for q in cell.fed), inputs),
        r=tuple((sum(rows[q] for q in s.gates), sum(map(columns, s.sees or ()))) for s in cell.stages if s.sees),
        b=sum(rows.values()),
        b_r=len(cell.split_gates) * hidden,
        norm_x=len(cell.fed) * hidden,
        norm_r=tuple(len(s.gates) * hidden for s in cell.stages if s.sees),
    )


def _check_projection(cell: Cell) -> None:
    """A projected output is not H wide: matrices may read it, an elementwise step may not."""
    output = cell.state[0]
    written = False
    for stage in cell.stages:
        if output in stage.takes or (written and output in (stage.sees or ())):
            raise ValueError(
                f"{cell.name}: its step computes with the output {output!r} unit by unit, so the output cannot be "
                "projected to another width; multiply what comes out of the layer instead"
            )
        written |= output in stage.writes


def dense(cell: Cell, weights: Weights, hidden: int) -> Weights:
    """The same weights with every gate and every state H wide and every R a plain matrix.

    Rows of gates that a block shares are repeated, columns of states that a block shares stand at its first cell,
    heads become a block-diagonal matrix, and what a mask forbids becomes zero. Differentiable, outside every kernel.
    """
    if cell.block == 1 and cell.heads == 1 and cell.mask is None:
        return weights
    r = []
    seeing = [s for s in cell.stages if s.sees]
    for stage, matrix in zip(seeing, weights.r, strict=True):
        sees = stage.sees or ()
        if cell.heads > 1:
            matrix = _heads(matrix, len(stage.gates), len(sees), cell.heads, hidden)
        if cell.block > 1:
            matrix = _blocks(cell, matrix, stage.gates, sees, hidden)
        if cell.mask is not None:
            allowed = cell.mask(hidden).to(matrix.device, matrix.dtype)
            matrix = matrix * allowed.repeat(len(stage.gates), len(sees))
        r.append(matrix)
    if cell.block == 1:
        return weights._replace(r=tuple(r))
    device = weights.w.device
    fed, every = (_rows(cell, gates, hidden).to(device) for gates in (cell.fed, cell.gates))
    return weights._replace(w=weights.w[fed], r=tuple(r), b=None if weights.b is None else weights.b[every])


def _rows(cell: Cell, gates: tuple[str, ...], hidden: int) -> Tensor:
    """For every gate and unit, the row that drives it."""
    parts, offset = [], 0
    for q in gates:
        width = cell.width(q, hidden)
        parts.append(offset + torch.arange(hidden) // (hidden // width))
        offset += width
    return torch.cat(parts)


def _blocks(cell: Cell, r: Tensor, gates: tuple[str, ...], sees: tuple[str, ...], hidden: int) -> Tensor:
    columns = []
    for k, name in enumerate(sees):
        width = cell.width(name, hidden)
        columns.append(k * hidden + torch.arange(width) * (hidden // width))
    r = r[_rows(cell, gates, hidden).to(r.device)]
    wide = r.new_zeros(r.shape[0], len(sees) * hidden)
    return wide.index_copy(1, torch.cat(columns).to(r.device), r)


def _heads(r: Tensor, gates: int, sees: int, heads: int, hidden: int) -> Tensor:
    one = hidden // heads
    diagonal = torch.eye(heads, dtype=r.dtype, device=r.device)[None, :, None, None, :, None]
    return (r.view(gates, heads, one, sees, 1, one) * diagonal).reshape(gates * hidden, sees * hidden)
