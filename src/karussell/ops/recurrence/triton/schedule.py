"""Which schedule runs a size: read from a table that ships, never timed here.

triton.json holds rows that are tried in their order: the first whose limits a call keeps to is taken.

bytes     of a number: 4 or 2
units     the most units, padded to a power of two
weights   the most bytes that all recurrent matrices of the call take, so padded; 0: no limit
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from karussell.ops.recurrence.triton.plan import Kind, edges, products
from karussell.program import Program

PATH = Path(__file__).with_name("triton.json")
_forced: list["Schedule"] = []


class Schedule(NamedTuple):
    """How a call is cut: rows and units a program, columns of R at once, how many such tiles stay in registers."""

    kind: Kind
    rows: int = 16
    units: int = 16
    depth: int = 16
    tiles: int = 0
    warps: int = 4
    stages: int = 1


@contextmanager
def forced(schedule: Schedule) -> Iterator[None]:
    """Use this schedule for all calls inside, as tests and the bench do."""
    _forced.append(schedule)
    try:
        yield
    finally:
        _forced.pop()


@lru_cache
def table() -> tuple[dict[str, Any], ...]:
    """The rows."""
    return tuple(json.loads(PATH.read_text(encoding="utf-8"))["rows"])


def choose(
    p: Program,
    hidden: int,
    batch: int,
    directions: int,
    dtype: torch.dtype,
    device: torch.device,
    normed: bool,
) -> Schedule:
    """The schedule of a call; `normed`: a row's units must be in one program."""
    padded, size = power(hidden), dtype.itemsize
    if _forced:
        chosen = _forced[-1]
    else:
        weights = sum(products(p.stages[e.stage]) for e in edges(p)) * padded * padded * size
        chosen = Schedule("stepwise", rows=4, units=64)
        for row in table():
            fits = row["bytes"] == size and padded <= row["units"] and weights <= (row["weights"] or weights)
            made = Schedule(**row["schedule"])
            if fits and not (
                made.kind == "spread" and (normed or not _together(made, hidden, batch, directions, device))
            ):
                chosen = made
                break
    if chosen.kind == "resident":
        return chosen._replace(units=padded, depth=padded)
    if chosen.kind == "spread" and chosen.tiles:
        return chosen._replace(tiles=-(-hidden // chosen.depth))
    # layer norm needs a row's units together
    return chosen._replace(units=padded, rows=1) if normed else chosen


def power(number: int) -> int:
    """The next power of two, 16 at least: products are made of tiles of 16."""
    return max(16, 1 << (number - 1).bit_length())


def _together(s: Schedule, hidden: int, batch: int, directions: int, device: torch.device) -> bool:
    """Whether all programs run at once, as a barrier needs."""
    programs = -(-batch // s.rows) * -(-hidden // s.units) * directions
    if device.type != "cuda":
        return programs == 1
    return programs <= torch.cuda.get_device_properties(device).multi_processor_count
