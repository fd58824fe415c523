"""The step of a series: from times to whole numbers on a grid, and back.

A step is a fixed time ("h", "15min", "D", "W"), a number of months ("MS", "QS", "YS"), or a plain number where times
are whole numbers. Inside, a time is a tick: nanoseconds, months since 1970, or the number itself.
"""

import math
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from karussell.errors import InputError

_SECOND = 1_000_000_000
_NAMES = {
    "ms": _SECOND // 1000,
    "s": _SECOND,
    "min": 60 * _SECOND,
    "h": 3600 * _SECOND,
    "D": 86400 * _SECOND,
    "W": 7 * 86400 * _SECOND,
}
_WORDS = {
    "s": "second",
    "min": "minute",
    "h": "hour",
    "D": "day",
    "W": "week",
    "MS": "month",
    "ME": "month",
    "QS": "quarter",
    "QE": "quarter",
    "YS": "year",
    "YE": "year",
}
_MONTHS = {"MS": 1, "ME": 1, "M": 1, "QS": 3, "QE": 3, "Q": 3, "YS": 12, "YE": 12, "Y": 12}
DAY, WEEK, YEAR = 86400 * _SECOND, 7 * 86400 * _SECOND, 31_556_952 * _SECOND


@dataclass(frozen=True)
class Step:
    """The distance of neighbours: `size` ticks of a kind.

    `day` and `rest` belong to months: the day of the month, 0 for its last one, and the nanoseconds into that day.
    """

    kind: Literal["time", "months", "number"]
    size: int
    day: int = 1
    rest: int = 0

    @property
    def name(self) -> str:
        """A short name, in pandas' words where they have one: h, 15min, D, W, MS; a number for plain numbers."""
        if self.kind == "number":
            return str(self.size)
        if self.kind == "months":
            ends = "E" if self.day == 0 else "S"
            unit, count = {0: ("Y", 12), 3: ("Q", 3)}.get(self.size % 12, ("M", 1))
            times = self.size // count
            return f"{times if times > 1 else ''}{unit}{ends}"
        for unit, length in reversed(_NAMES.items()):
            if self.size % length == 0:
                return f"{self.size // length if self.size > length else ''}{unit}"
        return f"{self.size}ns"

    @property
    def words(self) -> str:
        """The step as people say it: an hour, 15 minutes, a month; 1 for plain numbers."""
        count, unit = re.fullmatch(r"(\d*)(.*)", self.name).groups()  # type: ignore[union-attr]
        if not unit or unit not in _WORDS:
            return self.name
        one = _WORDS[unit]
        return f"{count} {one}s" if count else f"{'an' if one[0] == 'h' else 'a'} {one}"

    @property
    def seconds(self) -> float | None:
        """Seconds of one step, those of a mean month where it is months, None for plain numbers."""
        if self.kind == "number":
            return None
        return self.size / _SECOND if self.kind == "time" else self.size * YEAR / 12 / _SECOND

    def seasons(self) -> tuple[int, ...]:
        """Whole steps of the day, the week and the year, as far as this step knows them; the shortest first."""
        if self.kind == "number":
            return ()
        if self.kind == "months":
            return (12 // self.size,) if 12 % self.size == 0 and self.size < 12 else ()
        found = [length // self.size for length in (DAY, WEEK) if length % self.size == 0 and length > self.size]
        if self.size in (DAY, WEEK):
            found.append(round(YEAR / self.size))
        return tuple(found)

    def ticks(self, times: np.ndarray) -> np.ndarray:
        """Ticks [N] of times [N]: nanoseconds for the kinds of time, whole numbers for plain ones."""
        if self.kind != "months":
            return times
        months, days, rest = months_of(times)
        if (rest != self.rest).any() or (self.day and (days != self.day).any()):
            wrong = times[int(np.argmax((rest != self.rest) | (days != self.day)))]
            raise InputError(
                f"the time {np.datetime64(int(wrong), 'ns')} does not lie on the grid of step {self.name}; mixed "
                "frequencies cannot be told apart: resample the data first"
            )
        return months

    def times(self, ticks: np.ndarray) -> np.ndarray:
        """The times [N] of ticks [N]: datetime64[ns], or whole numbers."""
        if self.kind == "number":
            return ticks
        if self.kind == "time":
            return ticks.astype("datetime64[ns]")
        months = ticks.astype("datetime64[M]")
        if self.day == 0:
            days = (months + 1).astype("datetime64[D]") - 1
        else:
            days = months.astype("datetime64[D]") + (self.day - 1)
        return days.astype("datetime64[ns]") + np.timedelta64(self.rest, "ns")

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {"kind": self.kind, "size": self.size, "day": self.day, "rest": self.rest}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Step":
        """The step that `to_json` wrote; ValueError where it is none."""
        found = cls(str(values["kind"]), *(int(values[name]) for name in ("size", "day", "rest")))  # type: ignore[arg-type]
        if found.kind not in ("time", "months", "number") or not 0 < found.size < 1 << 62:
            raise ValueError(f"the step is {found.size} of {found.kind!r}")
        return found

    @classmethod
    def named(cls, name: str) -> "Step":
        """The step of a name such as h, 15min, D, W, MS, QS, YS, or a number."""
        found = re.fullmatch(r"(\d*)([A-Za-z]*)", name.strip())
        count = int(found[1] or 1) if found else 0
        unit = found[2] if found else ""
        if found and count:
            if not unit and found[1]:
                return cls("number", count)
            if unit in _MONTHS:
                return cls("months", count * _MONTHS[unit], 0 if unit.endswith("E") else 1)
            for known in (unit, unit.lower(), unit.upper()):
                if known in _NAMES:
                    return cls("time", count * _NAMES[known])
        raise InputError(f"the frequency {name!r} is not known; write it as s, 15min, h, D, W, MS, QS, YS or a number")


def months_of(times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Months since 1970, days of the month (0 for its last) and nanoseconds into the day, of nanoseconds [N]."""
    moments = times.astype("datetime64[ns]")
    months = moments.astype("datetime64[M]")
    days = moments.astype("datetime64[D]")
    number = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
    last = (days + 1).astype("datetime64[M]") != months
    # the 31st may be the last day of each month or simply a day: only what is last everywhere counts as last
    number = np.where(last, 0, number) if last.all() else number
    return months.astype(np.int64), number, (moments - days).astype(np.int64)


def find_step(times: list[np.ndarray], kind: Literal["time", "number"]) -> Step:
    """The step of series whose sorted, distinct times [N] are given: the most common distance of all of them."""
    counts: dict[int, int] = {}
    for one in times:
        for distance, count in zip(*np.unique(np.diff(one), return_counts=True), strict=True):
            counts[int(distance)] = counts.get(int(distance), 0) + int(count)
    if not counts:
        raise InputError(
            "no series has two rows, so that their frequency cannot be seen; name it: --table.freq h, D, W, MS or 1"
        )
    # of equals the shortest
    common = min(counts, key=lambda distance: (-counts[distance], distance))
    if kind == "number":
        return Step("number", common)
    if common < 28 * DAY:
        return Step("time", common)
    months, days, rest = months_of(np.concatenate(times))
    if len(np.unique(days)) > 1 or len(np.unique(rest)) > 1:
        return Step("time", common)
    moved = np.split(months, np.cumsum([len(one) for one in times])[:-1])
    size = math.gcd(*(int(d) for one in moved for d in np.unique(np.diff(one))))
    return Step("months", max(1, size), int(days[0]), int(rest[0]))
