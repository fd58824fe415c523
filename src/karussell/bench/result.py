"""What a bench found: rows, their summary, and the one JSON shape of every bench."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from karussell.errors import InputError


@dataclass(frozen=True)
class Row:
    """One case against one peer.

    ratio       the median over rounds of peer time / our time: above 1, ours is faster
    spread      interquartile range of the rounds' ratios
    engine      which engine of ours ran
    peak_share  our arithmetic a second as a share of a large matrix product's, same run, same threads
    peer_ms, ratio, spread are None where the peer is not installed: not measured
    """

    group: str
    case: str
    ours_ms: float
    peer: str
    peer_ms: float | None
    ratio: float | None
    spread: float | None
    engine: str
    threads: int
    peak_share: float | None


@dataclass(frozen=True)
class Summary:
    """A group at one number of threads: geometric mean and smallest of the ratios, and how many there are."""

    geomean: float
    min: float
    cases: int


@dataclass(frozen=True)
class Result:
    """The machine a bench ran on, and its rows."""

    machine: Mapping[str, Any]
    rows: tuple[Row, ...]

    @property
    def summary(self) -> dict[str, Summary]:
        """By group; one thread under the group's name, n threads under "GROUP@n"."""
        ratios: dict[str, list[float]] = {}
        for row in self.rows:
            if row.ratio is not None:
                ratios.setdefault(name_of(row.group, row.threads), []).append(row.ratio)
        return {k: Summary(round(geomean(v), 4), min(v), len(v)) for k, v in ratios.items()}

    def to_json(self) -> str:
        """The JSON shape, keys in their order."""
        summary = {k: asdict(v) for k, v in self.summary.items()}
        whole = {"machine": dict(self.machine), "rows": [asdict(r) for r in self.rows], "summary": summary}
        return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, name: str = "the text") -> "Result":
        """Read what `to_json` wrote; InputError where it is something else."""
        try:
            whole = json.loads(text)
            names = [f.name for f in fields(Row)]
            rows = tuple(Row(*(row[n] for n in names)) for row in whole["rows"])
            return cls(whole["machine"], rows)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{name} is no result of a bench ({error}); write one with: karussell bench layers --json FILE"
            ) from error


def name_of(group: str, threads: int) -> str:
    """The summary's key: the group for one thread, GROUP@n for n."""
    return group if threads == 1 else f"{group}@{threads}"


def geomean(values: Iterable[float]) -> float:
    """The geometric mean of positive numbers."""
    logs = [math.log(v) for v in values]
    return math.exp(math.fsum(logs) / len(logs))


def median(values: Iterable[float]) -> float:
    """The middle one, or the mean of the middle two."""
    return quantile(values, 0.5)


def spread(values: Iterable[float]) -> float:
    """Interquartile range, between neighbours linearly; 0 for a single value."""
    values = list(values)
    return quantile(values, 0.75) - quantile(values, 0.25)


def quantile(values: Iterable[float], q: float) -> float:
    """The value below which the share q of them lies, between neighbours linearly."""
    ordered = sorted(values)
    at = q * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])
