"""Series on regular grids, with what is known beside them; the values that forecasts are made from.

values [T]      the series; nan where a value is missing
known  [T+F, K] covariates known in advance, for F steps beyond the last value
past   [T, P]   covariates that are only seen together with the values
static          attributes that stay: numbers or words
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from karussell.data.series_step import Step
from karussell.errors import InputError


@dataclass(frozen=True, eq=False)
class Series:
    """One series; `start` is the tick of its first value, and every step from there has a place."""

    id: str
    start: int
    values: np.ndarray
    known: np.ndarray
    past: np.ndarray
    static: tuple[str | float, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def head(self, steps: int) -> "Series":
        """The first `steps` values; what is known of the time after them stays known."""
        return replace(self, values=self.values[:steps], past=self.past[:steps])


@dataclass(frozen=True, eq=False)
class SeriesSet:
    """Series of one step, with the names of their covariates, and the repairs that reading them took."""

    series: tuple[Series, ...]
    step: Step
    known: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.series:
            raise InputError("there is not one series in the data; give a table with at least one")

    def __len__(self) -> int:
        return len(self.series)

    @property
    def points(self) -> int:
        """Values that are there, of all series together."""
        return sum(int(np.isfinite(one.values).sum()) for one in self.series)

    @property
    def digest(self) -> str:
        """A checksum of everything in the set."""
        found = hashlib.sha256(repr((self.step, self.known, self.past, self.static)).encode())
        for one in self.series:
            found.update(repr((one.id, one.start, one.static)).encode())
            for array in (one.values, one.known, one.past):
                found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()[:16]

    def times(self, one: Series, first: int, count: int) -> np.ndarray:
        """The times of `count` steps of a series of this set, from its step number `first` on."""
        return self.step.times(one.start + self.step.size * np.arange(first, first + count, dtype=np.int64))

    def head(self, steps: Sequence[int]) -> "SeriesSet":
        """The first so many values of each series; a series with none is left out."""
        kept = [one.head(count) for one, count in zip(self.series, steps, strict=True) if count > 0]
        return replace(self, series=tuple(kept))

    def split(self, last: Sequence[int]) -> tuple["SeriesSet", "SeriesSet"]:
        """Everything but the last so many values of each series, and those; `followed_by` joins them again."""
        later = []
        for one, count in zip(self.series, last, strict=True):
            cut = len(one) - count
            if count > 0:
                start = one.start + cut * self.step.size
                later.append(
                    replace(one, start=start, values=one.values[cut:], known=one.known[cut:], past=one.past[cut:])
                )
        return self.head([len(one) - count for one, count in zip(self.series, last, strict=True)]), replace(
            self, series=tuple(later)
        )

    def followed_by(self, later: "SeriesSet") -> tuple["SeriesSet", list[int]]:
        """The series of `later` with what came before them in this set, and how many of their values are later's.

        A gap between the two is missing values; later values that come before the end of the earlier ones are an
        InputError. Series that only this set has are left out, series that only `later` has stand alone.
        """
        self.check_alike(later)
        before = {one.id: one for one in self.series}
        joined, counts = [], []
        for one in later.series:
            counts.append(len(one))
            joined.append(one if one.id not in before else self._join(before[one.id], one))
        return replace(later, series=tuple(joined)), counts

    def check_alike(self, other: "SeriesSet") -> None:
        """InputError where another set has another step or other covariates."""
        if other.step != self.step:
            raise InputError(
                f"the step of the data is {other.step.name}, and that of the data before it is {self.step.name}; "
                "resample one of the two"
            )
        for kind in ("known", "past", "static"):
            if getattr(self, kind) != getattr(other, kind):
                raise InputError(
                    f"the data has the {kind} covariates {list(getattr(other, kind))}, and {list(getattr(self, kind))} "
                    "were there before; give the same columns"
                )

    def _join(self, early: Series, late: Series) -> Series:
        size = self.step.size
        offset, off_grid = divmod(late.start - early.start, size)
        if off_grid or offset < len(early):
            [at] = self.step.times(np.array([late.start]))
            why = "does not lie on the grid of" if off_grid else "is not after the end of"
            raise InputError(
                f"series '{early.id}' goes on at {at}, which {why} what came before; give only rows that follow"
            )

        def across(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            # what was known ahead of time is overruled by what comes with the later rows
            gap = np.full((max(0, offset - len(a)), *a.shape[1:]), np.nan, a.dtype)
            return np.concatenate([a[:offset], gap, b])

        return replace(
            late,
            start=early.start,
            values=across(early.values, late.values),
            known=across(early.known, late.known),
            past=across(early.past, late.past),
        )
