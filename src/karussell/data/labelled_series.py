"""Series with one label: the .ts files of the UEA archive, and the UCR archive's tables with the label in front."""

import math
from pathlib import Path

import numpy as np

from karussell.data.labelled import Example, from_arrays, same_channels
from karussell.data.labelled_text import content, read_labelled_text
from karussell.errors import InputError


def read_labelled(path: Path | str) -> list[Example]:
    """Read sequences with a label by what the file is: .ts; .jsonl; .csv and .tsv with the columns text and label;
    .txt, .tsv and .csv of numbers with the label in front.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind == ".ts":
        return read_ts(path)
    if kind == ".jsonl":
        return read_labelled_text(path)
    if kind not in (".tsv", ".txt", ".csv"):
        raise InputError(f"'{path}' is no file of labelled sequences: needed .ts, .jsonl, .csv, .tsv or .txt")
    first = next((line for line in content(path).split("\n") if line.strip()), "")
    return read_labelled_text(path) if "text" in _cells(first) else read_ucr(path)


def read_ucr(path: Path | str) -> list[Example]:
    """Read a table of the UCR archive: a series a line, its label first, then its values; NaN or ? is missing.

    Missing values at the end make a series shorter. InputError names the line that holds something else.
    """
    path = Path(path)
    rows, labels, lines = [], [], []
    for line, written in enumerate(content(path).split("\n"), start=1):
        cells = _cells(written)
        if cells:
            labels.append(_label(cells[0]))
            rows.append(np.array([_number(path, line, cell) for cell in cells[1:]], np.float32))
            lines.append(line)
    return _named(path, rows, labels, lines)


def read_ts(path: Path | str) -> list[Example]:
    """Read a .ts file of the UEA archive: a header of @ lines, then channels between colons, the label last.

    ? is missing. Time stamps are refused. InputError names the line that cannot be used.
    """
    path = Path(path)
    lines = content(path).split("\n")
    begin = next((k for k, line in enumerate(lines) if line.strip().lower() == "@data"), None)
    if begin is None:
        raise InputError(f"'{path}' has no line @data, so it is no .ts file; check the path")
    header = {words[0].lower(): words[1:] for line in lines[:begin] if (words := line.split())}
    if (header.get("@timestamps") or ["false"])[0].lower() == "true":
        raise InputError(f"'{path}' has time stamps, which are not read; write values at equal steps")
    labelled = (header.get("@classlabel") or ["true"])[0].lower() == "true"
    rows, labels, places = [], [], []
    for line, written in enumerate(lines[begin + 1 :], start=begin + 2):
        if not written.strip() or written.startswith("#"):
            continue
        parts = written.strip().split(":")
        labels.append(parts.pop().strip() if labelled else "")
        found = [[_number(path, line, cell) for cell in part.split(",")] for part in parts if part.strip()]
        if not found or len({len(channel) for channel in found}) != 1:
            raise InputError(
                f"'{path}' line {line}: its channels have {[len(c) for c in found]} values, needed as many"
            )
        rows.append(np.array(found, np.float32).T)
        places.append(line)
    return _named(path, rows, labels, places)


def _named(path: Path, rows: list[np.ndarray], labels: list[str], lines: list[int]) -> list[Example]:
    if not rows:
        raise InputError(f"'{path}' holds no series; needed one a line")
    made = []
    for row, label, line in zip(rows, labels, lines, strict=True):
        name = f"{path.name}:{line}"
        try:
            [example] = from_arrays([row], name=name)
        except InputError as error:
            raise InputError(str(error).replace(f"{name} 0", name)) from None
        made.append(Example(name, example.values, label=label or None))
    same_channels(made)
    return made


def _cells(line: str) -> list[str]:
    return [cell for cell in (line.split(",") if "," in line else line.split()) if cell.strip()]


def _number(path: Path, line: int, cell: str) -> float:
    if cell.strip() == "?":
        return math.nan
    try:
        return float(cell)
    except ValueError:
        raise InputError(f"'{path}' line {line}: {cell.strip()!r} is no number; missing values are NaN or ?") from None


def _label(cell: str) -> str:
    # archives write whole numbers as 1.0000000e+00
    try:
        value = float(cell)
    except ValueError:
        return cell.strip()
    return str(int(value)) if value.is_integer() else cell.strip()
