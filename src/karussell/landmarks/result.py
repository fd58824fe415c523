"""What a landmark gave: its rows, which claims hold, and the one JSON shape that pages and tables are made from."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from karussell.errors import InputError
from karussell.landmarks.landmark import Arm, Landmark, Picture, Row, Table
from karussell.landmarks.statistics import deviation, fisher, mean, welch

STATES = {"replicates": "replicates", "partly": "partly", "not": "does not", "not run": "not run"}


@dataclass(frozen=True)
class Result:
    """A landmark's rows by arm, its pictures and further tables, and the machine.

    claims: the sentence, whether it holds (None: not checked), and whether it is only about a control.
    """

    name: str
    head: Mapping[str, str]
    arms: tuple[Mapping[str, Any], ...]
    rows: Mapping[str, tuple[Row, ...]]
    claims: tuple[tuple[str, bool | None, bool], ...]
    pictures: tuple[Picture, ...] = ()
    machine: Mapping[str, str] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()

    @property
    def state(self) -> str:
        """replicates: all claims hold; partly: some, beside those on controls; not: none; not run: none was checked."""
        checked = [holds for _, holds, control in self.claims if holds is not None and not control]
        if not checked:
            return "not run"
        if all(holds for _, holds, _ in self.claims):
            return "replicates"
        return "partly" if any(checked) else "not"

    @property
    def minutes(self) -> float:
        """What all runs took, one after the other."""
        return sum(row.seconds for rows in self.rows.values() for row in rows) / 60

    def to_json(self) -> str:
        """The JSON shape, keys in their order."""
        whole = {
            "name": self.name,
            **self.head,
            "state": self.state,
            "minutes": round(self.minutes, 2),
            "machine": dict(self.machine),
            "arms": [dict(arm) for arm in self.arms],
            "claims": [{"text": t, "holds": holds, "control": control} for t, holds, control in self.claims],
            "rows": [asdict(row) for rows in self.rows.values() for row in rows],
            "pictures": [asdict(picture) for picture in self.pictures],
            "tables": [asdict(table) for table in self.tables],
        }
        return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, name: str = "the text") -> "Result":
        """Read what `to_json` wrote; InputError where it is something else."""
        try:
            whole = json.loads(text)
            rows: dict[str, list[Row]] = {arm["name"]: [] for arm in whole["arms"]}
            for entry in whole["rows"]:
                entry["curve"] = tuple(tuple(p) for p in entry["curve"])
                rows[entry["arm"]].append(Row(**entry))
            pictures = []
            for entry in whole["pictures"]:
                entry["curves"] = tuple(tuple(c) for c in entry["curves"])
                entry["levels"] = tuple(tuple(v) for v in entry["levels"])
                pictures.append(Picture(**entry))
            tables = [_fixed(Table(**entry)) for entry in whole["tables"]]
            return cls(
                whole["name"],
                {key: whole[key] for key in HEAD},
                tuple(whole["arms"]),
                {name: tuple(found) for name, found in rows.items()},
                tuple((c["text"], c["holds"], c["control"]) for c in whole["claims"]),
                tuple(pictures),
                whole["machine"],
                tuple(tables),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{name} is no result of a landmark ({error}); write one with: karussell landmarks run NAME"
            ) from error


HEAD = ("title", "year", "paper", "claim", "published", "figure", "strict", "reached")


def assemble(landmark: Landmark, rows: Mapping[str, tuple[Row, ...]], pictures: tuple[Picture, ...] = ()) -> Result:
    """Check the claims over the rows."""
    return Result(
        landmark.name,
        {key: getattr(landmark, key) for key in HEAD},
        tuple(
            {"name": a.name, "role": a.role, "published": a.published, "figure": a.figure or landmark.figure}
            for a in landmark.arms
        ),
        {arm.name: rows.get(arm.name, ()) for arm in landmark.arms},
        tuple((claim.text, claim.check(rows), claim.control) for claim in landmark.claims),
        pictures,
        machine(),
        tuple(_fixed(table) for table in landmark.tables(rows)) if landmark.tables else (),
    )


def _fixed(table: Table) -> Table:
    return Table(table.title, tuple(table.head), tuple(map(tuple, table.lines)), table.caption)


def machine() -> dict[str, str]:
    """The processor and what ran on it."""
    import torch

    cpu = platform.processor() or platform.machine()
    try:
        found = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        cpu = found[0].split(":", 1)[1].strip() if found else cpu
    except OSError:
        pass
    return {"cpu": cpu, "python": platform.python_version(), "torch": torch.__version__, "threads": "1"}


@dataclass(frozen=True)
class Agreement:
    """One arm run afresh against the committed one: p of Welch's test on values and of Fisher's on successes.

    Of the seeds that both have run, of which the tests say little, `same` of `shared` gave the same value and success.
    """

    arm: str
    values: float
    successes: float
    shared: int = 0
    same: int = 0

    @property
    def agrees(self) -> bool:
        """Neither test rejects at 0.01."""
        return min(self.values, self.successes) > 0.01


def agreement(fresh: Result, committed: Result) -> list[Agreement]:
    """Compare every arm that both have run."""
    found = []
    for name, mine in fresh.rows.items():
        theirs = committed.rows.get(name, ())
        if not mine or not theirs:
            continue
        values = [[row.value for row in rows if row.value is not None] for rows in (mine, theirs)]
        wins = [sum(row.strict for row in rows) for rows in (mine, theirs)]
        before = {row.seed: (row.value, row.strict) for row in theirs}
        both = [(row.value, row.strict) == before[row.seed] for row in mine if row.seed in before]
        tests = welch(*values), fisher(wins[0], len(mine), wins[1], len(theirs))
        found.append(Agreement(name, *tests, len(both), sum(both)))
    return found


def figure(rows: tuple[Row, ...]) -> str:
    """Mean, spread and range of the values, such as 26,400 ± 3,100 (20,000 to 31,000)."""
    values = [row.value for row in rows if row.value is not None]
    if not values:
        return "–"
    if len(values) == 1:
        return number(values[0])
    return f"{number(mean(values))} ± {number(deviation(values))} ({number(min(values))} to {number(max(values))})"


def count(rows: tuple[Row, ...], *, loosely: bool = False) -> str:
    """Successes of runs, such as 9 of 10."""
    if not rows:
        return "–"
    return f"{sum(row.reached if loosely else row.strict for row in rows)} of {len(rows)}"


def number(value: float) -> str:
    """A number as a person writes it: thousands apart, four significant digits below."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def of_arm(arm: Arm, seed: int, seconds: float, outcome: Any) -> Row:
    """A row from an outcome, its numbers rounded to what is worth keeping."""
    measures = {k: None if v is None else float(f"{v:.6g}") for k, v in outcome.measures.items()}
    curve = tuple((float(f"{x:.6g}"), float(f"{y:.6g}")) for x, y in outcome.curve)
    value = None if outcome.value is None else float(f"{outcome.value:.6g}")
    return Row(arm.name, seed, bool(outcome.strict), bool(outcome.reached), value, measures, round(seconds, 2), curve)
