"""Which units a cell's recurrent matrix connects: what of a structured R the compiled engine does not multiply."""

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from karussell.cells import Cell


class Structure(NamedTuple):
    """Of R's rows and columns, what may differ from zero.

    sees     [H, 2] int64: of each unit, the first unit that it multiplies and the one after the last
    seen_by  [H, 2] int64: of each unit, the first unit that multiplies it and the one after the last
    parts    units and what they see, (first, last, first seen, last seen), where neighbours see the same
    """

    sees: Tensor
    seen_by: Tensor
    parts: tuple[tuple[int, int, int, int], ...]


def structure(cell: Cell, hidden: int) -> Structure | None:
    """The structure of a cell's R, or None where it is dense or nothing would be saved."""
    return None if cell.heads == 1 and cell.mask is None else _structure(cell, hidden)


@lru_cache(maxsize=256)
def _structure(cell: Cell, hidden: int) -> Structure | None:
    allowed = torch.ones(hidden, hidden, dtype=torch.bool)
    if cell.heads > 1:
        head = torch.arange(hidden) // (hidden // cell.heads)
        allowed = head[:, None] == head[None, :]
    if cell.mask is not None:
        allowed = allowed & cell.mask(hidden).to("cpu", torch.bool)
    sees, seen_by = _reach(allowed), _reach(allowed.T)
    if int((sees[:, 1] - sees[:, 0]).sum()) == hidden * hidden:
        return None
    cuts = [0, *((sees[1:] != sees[:-1]).any(1).nonzero().flatten() + 1).tolist(), hidden]
    parts = tuple((a, b, *sees[a].tolist()) for a, b in pairwise(cuts))
    return Structure(sees, seen_by, parts)


def _reach(allowed: Tensor) -> Tensor:
    size = allowed.shape[1]
    place = torch.arange(size)
    first = torch.where(allowed, place, size).amin(1)
    last = torch.where(allowed, place + 1, 0).amax(1)
    return torch.stack([first.minimum(last), last], 1).contiguous()
