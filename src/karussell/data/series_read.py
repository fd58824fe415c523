"""From tables to series: rows sorted, repeated and broken rows found, every series laid on its grid.

A table is read in parts, and what stays is a few numbers a row, so that ten million rows need no more than a gigabyte.
What is repaired is said: rows out of order are sorted, equal rows counted once, infinities taken as missing, series
without a value left out. Two values of one series and time, or times off the grid, are an InputError.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from karussell.data.series import Series, SeriesSet
from karussell.data.series_step import Step, find_step
from karussell.data.series_table import Columns, Table, columns_of, is_dated, name_of, parts, resolve
from karussell.errors import InputError

# a grid may have so many places a row before it counts as a mistake in the times
SPARSE = 100
_ONLY = "y"


def read_series(
    source: Path | str | Any, table: Table | None = None, *, values: tuple[str, ...] = (), step: Step | None = None
) -> tuple[SeriesSet, Table, tuple[str, ...]]:
    """The series of a CSV, TSV or Parquet file or of a pandas DataFrame; the table as found; its value columns.

    To read more rows of the same kind, as a trained model does, give back `table`, `values` and `step`: then the
    columns must be there, others are passed over, and the step must be the same.
    """
    notes: list[str] = []
    if values and table is not None:
        found = table
    else:
        found, values, notes = resolve(source, table or Table())
    duties = [found.time, *([found.id] if found.id else []), *values, *found.known, *found.past, *found.static]
    rows = _Rows(found, values)
    more = _check_columns(source, duties)
    if table is found and more:
        notes.append(f"the columns {', '.join(more[:12])} are passed over; the model was trained without them")
    for part in parts(source, duties):
        rows.add(part)
    if not rows.count:
        raise InputError(f"{name_of(source)} has no rows; give at least two times of one series")
    series, step = rows.series(step, notes)
    made = SeriesSet(series, step, found.known, found.past, found.static, tuple(notes))
    return made, found, values


@dataclass
class _Rows:
    """The rows read so far, as arrays."""

    table: Table
    values: tuple[str, ...]
    codes: dict[str, int] = field(default_factory=dict)
    static: dict[int, tuple[str | float, ...]] = field(default_factory=dict)
    blocks: list[tuple[np.ndarray, ...]] = field(default_factory=list)
    count: int = 0
    dated: bool | None = None

    def add(self, part: Any) -> None:
        if not len(part):
            return
        dated = is_dated(part[self.table.time])
        if self.dated not in (None, dated):
            raise InputError(f"column {self.table.time!r} holds dates and numbers; write all times in one way")
        self.dated = dated
        found = columns_of(part, self.table, self.values, self.count)
        self.blocks.append((self._codes(found), found.times, found.values, found.known, found.past))
        self.count += len(part)

    def _codes(self, columns: Columns) -> np.ndarray:
        if columns.ids is None:
            return np.zeros(len(columns.times), np.int32)
        if columns.ids.isna().any():
            at = self.count + int(np.argmax(columns.ids.isna().to_numpy())) + 1
            raise InputError(f"column {self.table.id!r}, row {at}: the name of the series is empty")
        local, names = columns.ids.factorize()
        codes = np.array([self.codes.setdefault(str(name), len(self.codes)) for name in names], np.int32)[local]
        if columns.static is not None:
            self._attributes(codes, columns.static)
        return codes

    def _attributes(self, codes: np.ndarray, static: Any) -> None:
        distinct = static.assign(code=codes).drop_duplicates()
        names = {code: name for name, code in self.codes.items()}
        for row in distinct.itertuples(index=False):
            here = tuple(value if isinstance(value, str) else float(value) for value in row[:-1])
            if repr(self.static.setdefault(row[-1], here)) != repr(here):
                raise InputError(
                    f"the static attributes of series '{names[row[-1]]}' change from {self.static[row[-1]]} to {here}; "
                    "name such columns in --table.known or --table.past"
                )

    def series(self, step: Step | None, notes: list[str]) -> tuple[tuple[Series, ...], Step]:
        codes, times, values, known, past = (np.concatenate(arrays) for arrays in zip(*self.blocks, strict=True))
        self.blocks.clear()
        infinite = int(sum(np.isinf(array).sum() for array in (values, known, past)))
        if infinite:
            notes.append(f"{infinite} infinite values are taken as missing")
            for array in (values, known, past):
                array[np.isinf(array)] = np.nan
        if not ((codes[1:] > codes[:-1]) | ((codes[1:] == codes[:-1]) & (times[1:] >= times[:-1]))).all():
            order = np.lexsort((times, codes))
            if not (np.diff(codes) >= 0).all() or self._unsorted(codes, times):
                notes.append("rows were out of order and have been sorted by series and time")
            codes, times, values, known, past = (a[order] for a in (codes, times, values, known, past))
        bounds = np.flatnonzero(np.diff(codes, prepend=-1, append=codes[-1] + 1))
        names = list(self.codes) or [self.values[0] if self.values else _ONLY]
        made = []
        for first, last in pairwise(bounds.tolist()):
            code = int(codes[first])
            span = slice(first, last)
            made.append((code, self._once(names[code], times, values, known, past, span, notes)))
        step = self._step(step, [arrays[0] for _, arrays in made])
        grids = []
        for code, arrays in made:
            grids += self._grids(names[code], code, step, arrays)
        return _sound(grids, step.size, notes), step

    @staticmethod
    def _unsorted(codes: np.ndarray, times: np.ndarray) -> bool:
        return bool(((codes[1:] == codes[:-1]) & (times[1:] < times[:-1])).any())

    def _once(
        self,
        name: str,
        times: np.ndarray,
        values: np.ndarray,
        known: np.ndarray,
        past: np.ndarray,
        span: slice,
        notes: list[str],
    ) -> list[np.ndarray]:
        """The rows of one series, each time once."""
        arrays = [times[span], values[span], known[span], past[span]]
        again = np.flatnonzero(arrays[0][1:] == arrays[0][:-1]) + 1
        if not len(again):
            return arrays
        for array in arrays[1:]:
            same = (array[again] == array[again - 1]) | (np.isnan(array[again]) & np.isnan(array[again - 1]))
            if not same.all():
                at = int(arrays[0][again[int(np.argmax(~same.all(1)))]])
                shown = np.datetime64(at, "ns") if self.dated else at
                raise InputError(
                    f"series '{name}' has two different rows at {shown}; keep one of them, or name the column that "
                    "tells the series apart: --table.id COLUMN"
                )
        notes.append(f"{len(again)} rows of series '{name}' stand there twice and count once")
        return [np.delete(array, again, axis=0) for array in arrays]

    def _step(self, step: Step | None, times: list[np.ndarray]) -> Step:
        kind = "time" if self.dated else "number"
        wanted = step or (Step.named(self.table.freq) if self.table.freq else None)
        if wanted is None:
            return find_step(times, kind)  # type: ignore[arg-type]
        if (wanted.kind == "number") != (kind == "number"):
            raise InputError(
                f"the step is {wanted.name}, but the times of column {self.table.time!r} are "
                f"{'dates' if self.dated else 'whole numbers'}"
            )
        if wanted.kind == "months" and step is None:
            # the day of the month is the data's
            found = find_step(times, "time")
            return found if found.kind == "months" and found.size == wanted.size else wanted
        return wanted

    def _grids(self, name: str, code: int, step: Step, arrays: list[np.ndarray]) -> list[Series]:
        """The rows of one name on the grid: one series, or one a column of a wide table."""
        times, values, known, past = arrays
        ticks = step.ticks(times)
        distances = np.diff(ticks)
        off = np.flatnonzero(distances % step.size)
        if len(off):
            [left, right] = step.times(ticks[off[0] : off[0] + 2])
            raise InputError(
                f"series '{name}' has {left} and {right} as neighbours, which no whole steps of {step.name} lie "
                "between: mixed frequencies, or times off the grid. Resample the data, or name its step: --table.freq"
            )
        if len(distances) >= 3 and (distances > step.size).all():
            raise InputError(
                f"series '{name}' never has two neighbours one step of {step.name} apart, as the other series have: "
                "mixed frequencies; train one model a frequency"
            )
        places = (ticks - ticks[0]) // step.size
        length = int(places[-1]) + 1
        if length > max(1_000_000, SPARSE * len(times)):
            raise InputError(
                f"series '{name}' has {len(times)} rows but spans {length:,} steps of {step.name}; look for a wrong "
                "time, or name the step: --table.freq"
            )

        def laid(array: np.ndarray, kind: type) -> np.ndarray:
            if length == len(times):
                return np.ascontiguousarray(array, dtype=kind)
            grid = np.full((length, *array.shape[1:]), np.nan, kind)
            grid[places] = array
            return grid

        grid_known, grid_past = laid(known, np.float32), laid(past, np.float32)
        wide = len(self.values) if self.table.wide else 1
        return [
            Series(
                self.values[k] if self.table.wide else name,
                int(ticks[0]),
                laid(values[:, k], np.float64),
                grid_known,
                grid_past,
                self.static.get(code, ()),
            )
            for k in range(wide)
        ]


def _sound(grids: list[Series], size: int, notes: list[str]) -> tuple[Series, ...]:
    """Series cut to where their values begin and end; rows after the last value stay as the known future."""
    kept, empty, missing, future = [], [], 0, 0
    for one in grids:
        there = np.flatnonzero(np.isfinite(one.values))
        if not len(there):
            empty.append(one.id)
            continue
        first, last = int(there[0]), int(there[-1]) + 1
        future += len(one) - last
        missing += last - first - len(there)
        start = one.start + first * size
        kept.append(Series(one.id, start, one.values[first:last], one.known[first:], one.past[first:last], one.static))
    if not kept:
        raise InputError("every value in the data is missing; look at the column of values, --table.target")
    if empty:
        notes.append(f"{len(empty)} series without a value are left out: {', '.join(empty[:5])}")
    if missing:
        notes.append(f"{missing} values are missing within the series")
    if future:
        notes.append(f"{future} rows after the last value of their series are taken as the future that is known")
    return tuple(kept)


def _check_columns(source: Any, duties: list[str]) -> list[str]:
    """The columns without a duty; InputError where one that has a duty is missing."""
    glance = next(iter(parts(source, None, 1)), None)
    names = [] if glance is None else list(glance.columns)
    for name in duties:
        if name not in names:
            raise InputError(f"{name_of(source)} has no column {name!r}, which the model was trained with; add it")
    return [str(name) for name in names if name not in duties]
