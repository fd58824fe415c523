"""Which of two engines that can run a request is the faster one: read from a table that ships, never timed here.

`karussell bench table` measures the table, auto.json. A point holds the time of torch's own kernel (vendor) over the
time of the compiled engine (cpp), for a cell, whether gradients are made, whether rows are ragged, the steps, the
rows, the units and the threads.
"""

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from karussell.ops.engine import Engine

PATH = Path(__file__).with_name("auto.json")
# another number of threads changes more than twice as many units do
_THREADS = 4.0


class Point(NamedTuple):
    """A measured case; ratio is vendor time / cpp time: above 1, cpp is faster."""

    steps: int
    batch: int
    hidden: int
    threads: int
    ratio: float


class Kind(NamedTuple):
    """What cases are never compared across."""

    cell: str
    training: bool
    ragged: bool


Table = Mapping[Kind, tuple[Point, ...]]
COLUMNS = (*Kind._fields, *Point._fields)


def read(text: str) -> Table:
    """The table from its JSON."""
    whole = json.loads(text)
    if whole["columns"] != list(COLUMNS):
        raise ValueError(f"the table of engines has the columns {whole['columns']}; they must be {list(COLUMNS)}")
    found: dict[Kind, list[Point]] = {}
    for row in whole["points"]:
        found.setdefault(Kind(*row[:3]), []).append(Point(*row[3:]))
    return {kind: tuple(points) for kind, points in found.items()}


def choose(
    table: Table,
    cell_name: str,
    steps: int,
    batch: int,
    hidden: int,
    training: bool,
    threads: int,
    ragged: bool,
) -> Engine:
    """The faster engine at the nearest measured point, cpp or vendor.

    Near is a small difference of logarithms. Ragged rows that were not measured are taken as full ones; of a cell
    that was not measured nothing is known, and cpp is chosen. Of points as near as each other the first counts.
    """
    points = table.get(Kind(cell_name, training, ragged)) or table.get(Kind(cell_name, training, False))
    if not points:
        return Engine.cpp

    def distance(p: Point) -> float:
        sizes = ((p.steps, steps, 1.0), (p.batch, batch, 1.0), (p.hidden, hidden, 1.0), (p.threads, threads, _THREADS))
        return sum(weight * math.log(a / max(b, 1)) ** 2 for a, b, weight in sizes)

    return Engine.cpp if min(points, key=distance).ratio >= 1 else Engine.vendor


@lru_cache(maxsize=1)
def shipped() -> Table:
    """The table that came with the package; empty if there is none."""
    return read(PATH.read_text(encoding="utf-8")) if PATH.exists() else {}


@lru_cache(maxsize=4096)
def fastest(cell_name: str, steps: int, batch: int, hidden: int, training: bool, threads: int, ragged: bool) -> Engine:
    """What the shipped table says."""
    return choose(shipped(), cell_name, steps, batch, hidden, training, threads, ragged)
