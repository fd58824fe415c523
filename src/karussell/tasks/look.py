"""What a file is for: a look at its beginning picks the task.

digits, or rows with audio and text          transcribe
a table with a column of times               forecast
sequences with a label each                  classify
tokens in columns with a label each          tag
"""

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from karussell.data.series_table import IDS, TARGETS, TIMES
from karussell.errors import InputError

_BYTES = 65536
_DATE = re.compile(r"\d{4}-\d{1,2}(-\d{1,2}|$)|\d{1,4}[/.]\d{1,2}[/.]\d{2,4}")


@dataclass(frozen=True)
class Kind:
    """A task as it is listed: its name, what it does, what it takes, and a line to copy."""

    name: str
    does: str
    takes: str
    example: str


KINDS = (
    Kind(
        "transcribe",
        "write down what recordings say",
        "digits, or a manifest (.jsonl, .csv, .tsv) with audio and text",
        "karussell train digits --out runs/digits",
    ),
    Kind(
        "forecast",
        "quantiles of the next steps of one or thousands of series",
        "a table (.csv, .tsv, .parquet), wide, or long with unique_id, ds and y",
        "karussell train sales.csv --horizon 28 --out runs/sales",
    ),
    Kind(
        "classify",
        "one label a sequence, of measurements or of words",
        ".ts, rows of numbers with the label in front, or .csv, .tsv, .jsonl with text and label",
        "karussell train questions.csv --out runs/questions",
    ),
    Kind(
        "tag",
        "one label a step, of words or of measurements",
        "tokens in columns with the label last (.conll, .txt), or .jsonl with tokens and tags",
        "karussell train chunks.conll --out runs/chunks",
    ),
)


@dataclass(frozen=True)
class Found:
    """The task that data is for, and what in it says so."""

    task: str
    because: str


def look(data: str) -> Found:
    """The task for a data set by name or file; InputError where its beginning fits none."""
    if data.partition(":")[0] == "digits":
        return Found("transcribe", "the packaged spoken digits")
    path = Path(data)
    if not path.is_file():
        raise InputError(f"there is no file '{data}'; give a file, or the word digits. See: karussell tasks")
    kind = path.suffix.lower()
    if kind in (".parquet", ".pq"):
        return Found("forecast", "a Parquet table")
    if kind == ".ts":
        return Found("classify", "a .ts file")
    with path.open("rb") as file:
        begin = file.read(_BYTES)
    if not begin.strip():
        raise InputError(f"'{data}' lists nothing: it is empty; give a file with data. See: karussell tasks")
    lines = begin.decode("utf-8-sig", errors="replace").split("\n")
    # the last line may be cut
    lines = [line.rstrip("\r") for line in (lines[:-1] if len(begin) == _BYTES else lines)]
    readers: tuple[Callable[[Sequence[str]], Found | None], ...] = (
        (_rows,) if kind == ".jsonl" else (_table, _numbers, _columns)
    )
    for reader in readers:
        found = reader(lines)
        if found is not None:
            return found
    names = ", ".join(known.name for known in KINDS)
    raise InputError(
        f"what '{data}' is for cannot be told from its beginning; name it: --task with one of {names}. "
        "karussell tasks says what each of them takes"
    )


def _rows(lines: Sequence[str]) -> Found | None:
    """JSON lines, by the names in the first."""
    first = next((line for line in lines if line.strip()), "")
    try:
        row = json.loads(first)
    except json.JSONDecodeError:
        return None
    if not isinstance(row, Mapping):
        return None
    for name, task in (("audio", "transcribe"), ("tags", "tag"), ("label", "classify")):
        if name in row:
            return Found(task, f"JSON lines with {name!r}")
    return None


def _table(lines: Sequence[str]) -> Found | None:
    """A table with a header, by the names in it, or by dates under it."""
    if len(lines) < 2:
        return None
    separator = max(",\t;", key=lines[0].count)
    header, *rows = csv.reader(lines[:3], delimiter=separator)
    names = [name.strip().lower() for name in header]
    if {"audio", "text"} <= set(names):
        return Found("transcribe", "a table with audio and text")
    if {"text", "label"} <= set(names):
        return Found("classify", "a table with text and label")
    if len(names) < 2 or all(_is_number(name) for name in names):
        return None
    time = next((name for name in names if name in TIMES), None)
    if time is None and any(name in IDS for name in names) and any(name in TARGETS for name in names):
        return None
    row = rows[0] if rows else []
    dated = next((name for name, cell in zip(names, row, strict=False) if _DATE.match(cell.strip())), None)
    if time is not None or dated is not None:
        return Found("forecast", f"a table with the times {time or dated!r}")
    return None


def _numbers(lines: Sequence[str]) -> Found | None:
    """Rows of a label and numbers, as in the UCR archive."""
    first = next((line for line in lines if line.strip()), "")
    cells = [cell for cell in re.split(r"[,\t ]+", first.strip()) if cell]
    if len(cells) > 2 and all(_is_number(cell) for cell in cells[1:]):
        return Found("classify", "rows of numbers with a label in front")
    return None


def _columns(lines: Sequence[str]) -> Found | None:
    """Tokens in columns between white space, an empty line between sequences."""
    blocks = [line.split() for line in lines]
    widths = {len(cells) for cells in blocks if cells and cells[0] != "-DOCSTART-"}
    inside = blocks[:-1] if blocks and not blocks[-1] else blocks
    if len(widths) == 1 and min(widths) >= 2 and any(not cells for cells in inside):
        return Found("tag", "tokens in columns")
    return None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell == "?"
    return True
