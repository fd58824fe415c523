"""Runs a landmark, seed by seed; what is done is kept, so that a run that was stopped goes on."""

import json
import time
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path

import torch

from karussell.errors import InputError
from karussell.files import write_atomic
from karussell.landmarks.landmark import Arm, Landmark, Row, Trial
from karussell.landmarks.result import Result, assemble, of_arm


def run(
    landmark: Landmark,
    out: Path | None,
    *,
    seeds: int | None = None,
    first: int = 0,
    budget: float | None = None,
    smoke: bool = False,
    arms: Collection[str] = (),
    say: Callable[[str], None] = print,
) -> Result:
    """Run every arm over its seeds, a seed of each in turn, and write `out`/rows.jsonl and `out`/result.json.

    seeds   how many of each arm instead of its own number; `first` is the first of them
    budget  minutes after which no further run is begun; one always is
    smoke   as little as shows that the program runs; one seed, and nothing is written
    arms    only these; all that need no data of their own if none is named
    """
    unknown = sorted(set(arms) - {arm.name for arm in landmark.arms})
    if unknown:
        raise InputError(
            f"{landmark.name} has no arm {unknown[0]!r}; it has {', '.join(repr(a.name) for a in landmark.arms)}"
        )
    kept = [] if smoke or out is None else _read(out / "rows.jsonl")
    rows = {(row.arm, row.seed): row for row in kept}
    begun, made = time.monotonic(), 0
    for seed, arm in _plan(landmark, seeds, first, smoke, arms):
        if (arm.name, seed) in rows:
            continue
        if made and budget is not None and time.monotonic() - begun >= 60 * budget:
            say(f"{landmark.name}: the budget of {budget:g} minutes is used; run it again to go on")
            break
        row, made = one(arm, seed, smoke), made + 1
        rows[arm.name, seed] = row
        if out is not None and not smoke:
            _append(out / "rows.jsonl", row)
        value = "-" if row.value is None else f"{row.value:g}"
        say(f"{landmark.name} | {arm.name} | seed {seed} | strict {row.strict} | {value} | {row.seconds:.1f} s")
    by_arm = {
        arm.name: tuple(sorted((r for r in rows.values() if r.arm == arm.name), key=lambda r: r.seed))
        for arm in landmark.arms
    }
    pictures = () if landmark.pictures is None else tuple(landmark.pictures(by_arm, smoke))
    result = assemble(landmark, by_arm, pictures)
    if out is not None and not smoke:
        write_atomic(out / "result.json", result.to_json())
    return result


def one(arm: Arm, seed: int, smoke: bool = False) -> Row:
    """One run of one arm, on one thread; its seconds are the processor's: a busy machine does not lengthen them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        begun = time.process_time()
        outcome = arm.run(Trial(seed, smoke))
        return of_arm(arm, seed, time.process_time() - begun, outcome)
    finally:
        torch.set_num_threads(threads)


def _plan(
    landmark: Landmark, seeds: int | None, first: int, smoke: bool, arms: Collection[str]
) -> list[tuple[int, Arm]]:
    chosen = [arm for arm in landmark.arms if (arm.name in arms if arms else smoke or not arm.apart)]
    counts = {arm.name: 1 if smoke else arm.seeds if seeds is None else seeds for arm in chosen}
    most = max(counts.values(), default=0)
    return [(first + k, arm) for k in range(most) for arm in chosen if k < counts[arm.name]]


def _read(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            # the last line of a run that was killed while it wrote
            continue
        entry["curve"] = tuple(tuple(p) for p in entry["curve"])
        rows.append(Row(**entry))
    return rows


def _append(path: Path, row: Row) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        # what a killed run left of a line must not swallow the next one
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write((json.dumps(asdict(row), ensure_ascii=False) + "\n").encode())
