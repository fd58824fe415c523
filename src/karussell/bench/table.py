"""Measures the table that the `auto` engine reads: cpp against vendor over a grid of sizes."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Module

from karussell.bench import machine, parity
from karussell.bench.layers import silent
from karussell.bench.problem import Problem, Run, call_layer, job
from karussell.bench.timing import turn_about
from karussell.cells import GRU, LSTM, RNN, Cell, ReLURNN
from karussell.files import write_atomic
from karussell.ops import Engine
from karussell.ops.recurrence.auto import COLUMNS, PATH

SECONDS = 170.0
STEPS, BATCHES, UNITS = (1, 10, 100), (1, 8, 32, 128), (32, 64, 128, 256, 512)
COARSE: tuple[tuple[Cell, bool], ...] = ((GRU, False), (RNN, False), (ReLURNN, False), (LSTM, True))
"""Cells, and whether rows are ragged, for which fewer sizes tell the whole story."""


class Spot(NamedTuple):
    """A case of the table."""

    problem: Problem
    threads: int


def grid(threads: Sequence[int]) -> Iterator[Spot]:
    """The cases, those with the longest sequences last."""
    for steps in STEPS:
        for count in threads:
            for training in (False, True):
                for batch in BATCHES:
                    for hidden in UNITS:
                        yield Spot(Problem(LSTM, steps, batch, hidden, training, drop_in=False), count)
                if steps == STEPS[1]:
                    continue
                for cell, ragged in COARSE:
                    for batch in BATCHES[::2]:
                        for hidden in UNITS[1::2]:
                            if not (ragged and steps == 1):
                                yield Spot(Problem(cell, steps, batch, hidden, training, ragged, False), count)


def run_table(
    path: Path | str | None = None,
    threads: Sequence[int] | None = None,
    seconds: float = SECONDS,
    *,
    run: Run = call_layer,
    spots: Sequence[Spot] | None = None,
    say: Callable[[str], None] | None = None,
) -> str:
    """Measure in about `seconds` and write the table, where the `auto` engine looks for it unless `path` is given.

    Refuses with ParityError, before anything is timed, where an engine's result is not the reference's. Returns what
    it wrote.
    """
    begin = time.perf_counter()
    say = say or silent
    work = list(grid(threads or sorted({1, 2, machine.cores()} & set(range(1, machine.cores() + 1)))))
    work = work if spots is None else list(spots)
    families = {(parity.family(s.problem), s.threads) for s in work}
    say(f"parity: {len(families)} families of cases, two engines each, against the float64 reference")
    for problem, count in sorted(families, key=lambda f: (f[1], f[0].hidden, f[0].batch)):
        with machine.threads(count):
            for engine in (Engine.cpp, Engine.vendor):
                parity.verify(problem, engine, run)
    say(f"timing {len(work)} cases")
    # time in proportion to what a round costs, so that large cases are not cut short by small ones
    points = []
    for done, spot in enumerate(work):
        share = (seconds - (time.perf_counter() - begin)) / (len(work) - done)
        with machine.threads(spot.threads):
            points.append(_point(spot, run, min(max(share / 3, 0.01), 0.5)))
    text = _write(points)
    write_atomic(PATH if path is None else path, text)
    return text


def _point(spot: Spot, run: Run, seconds: float) -> list:
    p = spot.problem
    # what disturbs a run makes it longer, never shorter; a sign is all that is wanted of few rounds
    sides = {engine: _job(p, engine, run) for engine in (Engine.cpp, Engine.vendor)}
    times = turn_about(sides, seconds, least=3)
    ratio = min(times[Engine.vendor]) / min(times[Engine.cpp])
    return [p.cell.name, p.training, p.ragged, p.steps, p.batch, p.hidden, spot.threads, round(ratio, 3)]


def _job(problem: Problem, engine: Engine, run: Run) -> Callable[[], object]:
    layer, lengths = problem.layer(engine), problem.lengths()
    return job(partial(_output, run, layer, lengths), layer, problem.x(), problem.training)


def _output(run: Run, layer: Module, lengths: Tensor | None, x: Tensor) -> Tensor:
    return run(layer, x, lengths)[0]


def _write(points: Sequence[list]) -> str:
    head = {**machine.describe(), "threads": torch.get_num_threads()}
    del head["threads"], head["peers"]
    rows = ",\n".join("  " + json.dumps(p) for p in points)
    top = json.dumps({"machine": head, "columns": list(COLUMNS)}, indent=1)[:-2]
    return f'{top},\n "points": [\n{rows}\n ]\n}}\n'
