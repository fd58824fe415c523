"""Which column of a table is what: times, series, values, covariates; and the columns as arrays, a part at a time.

Long tables have a row a series and time (`unique_id, ds, y`), wide ones a row a time and a column a series.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from karussell.errors import InputError, require

TIMES = ("ds", "date", "time", "timestamp", "datetime", "month", "week", "day", "year")
IDS = ("unique_id", "series_id", "item_id", "series", "id")
TARGETS = ("y", "target", "value")
# rows that are in memory as a table at a time
ROWS = 250_000
_GLANCE = 2000


@dataclass(frozen=True)
class Table:
    """The columns of a table of series; what is empty is found by its usual name."""

    time: str = ""
    """Column of times; if empty: ds, date, time, timestamp or datetime, or the first column of dates."""
    id: str = ""
    """Column that names the series of a long table; if empty: unique_id, series_id, item_id, series or id."""
    target: str = ""
    """Column of values of a long table; if empty: y, target or value. A table with neither id nor target is wide."""
    known: tuple[str, ...] = ()
    """Columns of covariates that are known in advance, such as prices or holidays; rows without a value give theirs."""
    past: tuple[str, ...] = ()
    """Columns of covariates that are only known once the value is."""
    static: tuple[str, ...] = ()
    """Columns of attributes that stay the same in a series."""
    freq: str = ""
    """The step, such as 15min, h, D, W, MS, or 1 for numbered rows; if empty it is found."""

    def __post_init__(self) -> None:
        for name in ("known", "past", "static"):
            # lists come from JSON and YAML
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def wide(self) -> bool:
        """Whether every column without another duty is a series."""
        return not self.id and not self.target


@dataclass(frozen=True)
class Columns:
    """One part of a table as arrays: ids [N], times [N], values [N, 1] or [N, S] of a wide table, covariates."""

    ids: Any
    times: np.ndarray
    values: np.ndarray
    known: np.ndarray
    past: np.ndarray
    static: Any


def resolve(source: Any, table: Table) -> tuple[Table, tuple[str, ...], list[str]]:
    """The table with its columns found, the columns of values, and what is to be said about the others."""
    glance = next(iter(parts(source, None, _GLANCE)), None)
    if glance is None or not len(glance):
        raise InputError(f"{name_of(source)} has no rows; give at least two times of one series")
    columns = [str(name) for name in glance.columns]
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise InputError(f"{name_of(source)} has two columns {twice!r}; rename one of them")
    asked = [table.time, table.id, table.target, *table.known, *table.past, *table.static]
    for name in asked:
        if name and name not in columns:
            raise InputError(f"{name_of(source)} has no column {name!r}; it has {', '.join(columns[:30])}")
    lower = {name.lower(): name for name in reversed(columns)}

    def usual(names: tuple[str, ...]) -> str:
        return next((lower[name] for name in names if name in lower and lower[name] not in asked), "")

    found = replace(table, time=table.time or usual(TIMES) or _first_dates(glance))
    if not found.time:
        raise InputError(
            f"{name_of(source)} has no column of times among {', '.join(columns[:30])}; name it: --table.time COLUMN"
        )
    found = replace(found, id=table.id or usual(IDS), target=table.target or usual(TARGETS))
    if found.id and not found.target:
        raise InputError(
            f"{name_of(source)} names its series in {found.id!r}, but has no column y, target or value; name it: "
            "--table.target COLUMN"
        )
    duties = {found.time, found.id, found.target, *found.known, *found.past, *found.static}
    rest = [name for name in columns if name not in duties]
    if not found.wide:
        ignored = f"the columns {', '.join(rest[:12])} are not used; name them in --table.known, --table.past or "
        return found, (found.target,), [f"{ignored}--table.static if they are to be"] if rest else []
    if found.static:
        raise InputError("a wide table has no static attributes; give a long one, with a row a series and time")
    numeric = [name for name in rest if glance[name].dtype.kind in "biuf" or glance[name].isna().all()]
    words = [name for name in rest if name not in numeric]
    if not numeric:
        raise InputError(f"{name_of(source)} has no column of numbers beside its times {found.time!r}")
    return found, tuple(numeric), [f"the columns {', '.join(words[:12])} hold words and are not used"] if words else []


def columns_of(part: Any, table: Table, values: tuple[str, ...], row: int) -> Columns:
    """The arrays of one part; `row` is the number of its first row, for messages."""
    for name in (table.time, *values, *table.known, *table.past, *table.static, *([table.id] if table.id else [])):
        if name not in part.columns:
            raise InputError(f"the data has no column {name!r}, which the model was trained with; add it")

    def block(names: tuple[str, ...], kind: type) -> np.ndarray:
        arrays: list[np.ndarray] = [numbers(part[name], name, row).astype(kind) for name in names]
        return np.stack(arrays, 1) if arrays else np.empty((len(part), 0), kind)

    return Columns(
        part[table.id] if table.id else None,
        times_of(part[table.time], table.time, row),
        block(values, np.float64),
        block(table.known, np.float32),
        block(table.past, np.float32),
        part[list(table.static)] if table.static else None,
    )


def numbers(column: Any, name: str, row: int) -> np.ndarray:
    """A column as float64 [N], nan where it is empty; InputError names the first word in it."""
    pandas = require("pandas", extra="tables")
    if column.dtype.kind not in "biuf":
        made = pandas.to_numeric(column, errors="coerce")
        wrong = made.isna() & column.notna()
        if wrong.any():
            at = int(np.argmax(wrong.to_numpy()))
            raise InputError(
                f"column {name!r}, row {row + at + 1}: {column.iloc[at]!r} is no number; correct it, or leave it empty "
                "where the value is missing"
            )
        column = made
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def times_of(column: Any, name: str, row: int) -> np.ndarray:
    """A column of times as nanoseconds int64 [N], or, if it holds whole numbers, those as they are."""
    pandas = require("pandas", extra="tables")
    if column.isna().any():
        raise InputError(
            f"column {name!r}, row {row + int(np.argmax(column.isna().to_numpy())) + 1}: the time is empty"
        )
    if column.dtype.kind in "biuf":
        whole = column.to_numpy(dtype=np.float64)
        if not np.isfinite(whole).all() or (whole != np.floor(whole)).any():
            at = int(np.argmax(~np.isfinite(whole) | (whole != np.floor(whole))))
            raise InputError(f"column {name!r}, row {row + at + 1}: {whole[at]} is neither a date nor a whole number")
        return column.to_numpy(dtype=np.int64)
    if column.dtype.kind != "M":
        words = column.astype(str)
        try:
            made = pandas.to_datetime(words, errors="coerce", utc=bool(words.iloc[0][10:].count("+")), format="ISO8601")
            if made.isna().any():
                with warnings.catch_warnings():
                    # what cannot be read is said below, in one sentence
                    warnings.simplefilter("ignore", UserWarning)
                    made = pandas.to_datetime(words, errors="coerce", format=_guessed(words.iloc[0]))
        except ValueError as error:
            raise InputError(
                f"column {name!r}: the times cannot be read ({error}); write all of them in one way"
            ) from error
        if made.isna().any():
            at = int(np.argmax(made.isna().to_numpy()))
            raise InputError(
                f"column {name!r}, row {row + at + 1}: {words.iloc[at]!r} is no time; write all of them as 2026-01-31 "
                "or 2026-01-31 18:00:00"
            )
        column = made
    if getattr(column.dt, "tz", None) is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    found: np.ndarray = column.to_numpy().astype("datetime64[ns]").astype(np.int64)
    return found


def is_dated(column: Any) -> bool:
    """Whether a column holds dates, not numbers."""
    return column.dtype.kind not in "biuf"


def parts(source: Any, columns: list[str] | None, rows: int = ROWS) -> Iterator[Any]:
    """Tables of at most so many rows of a CSV, TSV or Parquet file, or of a DataFrame."""
    pandas = require("pandas", extra="tables")
    if isinstance(source, pandas.DataFrame):
        for first in range(0, max(1, len(source)), rows):
            yield source.iloc[first : first + rows]
        return
    path = Path(source)
    if not path.is_file():
        raise InputError(f"there is no file '{path}'; check the path")
    if path.suffix.lower() in (".parquet", ".pq"):
        parquet = require("pyarrow.parquet", extra="tables")
        try:
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=rows, columns=columns):
                    found = batch.to_pandas()
                    # two places of a file may give two names of a column
                    if not {*(columns or ())} <= {*found.columns}:
                        raise ValueError(f"it lacks a column of {', '.join(columns or ())}")
                    yield found
        except Exception as error:  # what a spoilt file makes pyarrow and pandas raise is of every kind
            raise InputError(f"'{path}' is no Parquet file that can be read ({error})") from error
        return
    try:
        with pandas.read_csv(path, sep=_separator(path), chunksize=rows, usecols=columns, low_memory=False) as file:
            yield from file
    except pandas.errors.EmptyDataError:
        raise InputError(f"'{path}' is empty; give a table with a header") from None
    except (pandas.errors.ParserError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' is no table that can be read ({error})") from error


def name_of(source: Any) -> str:
    """What a source of rows is called in messages."""
    return f"'{source}'" if isinstance(source, str | Path) else "the table"


def _separator(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        head = file.readline()
    return max(",\t;", key=head.count)


def _first_dates(glance: Any) -> str:
    for name in glance.columns:
        column = glance[name]
        if column.dtype.kind == "M":
            return str(name)
        if column.dtype.kind in "biuf" or column.isna().any():
            continue
        try:
            times_of(column, str(name), 0)
        except InputError:
            continue
        return str(name)
    return ""


def _guessed(word: str) -> str | None:
    from pandas.tseries.api import guess_datetime_format

    found: str | None = guess_datetime_format(word)
    return found
