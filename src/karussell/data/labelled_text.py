"""Token sequences with one label, from tables with a header and from JSON lines."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from karussell.data.labelled import Example, from_arrays, same_channels
from karussell.errors import InputError


def read_labelled_text(path: Path | str) -> list[Example]:
    """Read .csv or .tsv with the columns text and label, or .jsonl with text, tokens or values, and label or tags.

    A text is cut into tokens at white space. Other columns are passed over; a row without a label has none. InputError
    names the line.
    """
    path = Path(path)
    found = [_example(path, line, row) for line, row in _rows(path, content(path))]
    if not found:
        raise InputError(f"'{path}' lists nothing; needed a line for every sequence, with text and label")
    same_channels(found)
    return found


def content(path: Path) -> str:
    """The text of a file; InputError where there is none."""
    try:
        # utf-8-sig: spreadsheets put a mark in front
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"there is no file '{path}'; check the path") from None
    except IsADirectoryError:
        raise InputError(f"'{path}' is a folder, needed a file of sequences") from None
    except PermissionError as error:
        raise InputError(f"'{path}' may not be read: {error.strerror}; change its permissions") from None
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not UTF-8 text ({error.reason}); save it as UTF-8") from None


def _rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if path.suffix.lower() == ".jsonl":
        for line, written in enumerate(text.split("\n"), start=1):
            if not written.strip():
                continue
            try:
                row = json.loads(written)
            except (ValueError, RecursionError) as error:
                reason = getattr(error, "msg", error)
                raise InputError(f"'{path}' line {line} is not JSON ({reason}); needed one object a line") from None
            if not isinstance(row, dict):
                raise InputError(f"'{path}' line {line} is not a JSON object; needed {{'text': ..., 'label': ...}}")
            yield line, row
        return
    reader = csv.DictReader(io.StringIO(text), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    try:
        if reader.fieldnames is None or "text" not in reader.fieldnames:
            raise InputError(
                f"'{path}' has no column text; its first line must name the columns, such as text and label"
            )
        for cells in reader:
            if None in cells or None in cells.values():
                raise InputError(f"'{path}' line {reader.line_num} has more or fewer cells than the first line")
            yield reader.line_num, dict(cells)
    except csv.Error as error:
        raise InputError(f"'{path}' line {reader.line_num} is not CSV ({error})") from None


def _example(path: Path, line: int, row: dict[str, Any]) -> Example:
    where = f"'{path}' line {line}"
    name = str(row.get("id") or f"{path.name}:{line}")
    label, tags = row.get("label"), row.get("tags")
    if label is not None and not isinstance(label, str | int):
        raise InputError(f"{where}: label is {label!r}, needed a text or a whole number")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        raise InputError(f"{where}: tags is {tags!r}, needed a list of texts, one for every step")
    answer = None if label in (None, "") else str(label)
    marks = None if tags is None else tuple(tags)
    if row.get("values") is not None:
        try:
            [made] = from_arrays([np.asarray(row["values"], np.float32)], [answer or ""], name=name)
        except (TypeError, ValueError) as error:
            raise InputError(f"{where}: values cannot be used ({error})") from None
        return Example(name, made.values, label=answer, tags=marks)
    tokens = row.get("tokens", row.get("text"))
    tokens = tokens.split() if isinstance(tokens, str) else tokens
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise InputError(
            f"{where} lacks a text (or tokens, or values); it has: {', '.join(map(str, row)) or 'nothing'}"
        )
    if not tokens:
        raise InputError(f"{where}: the text is empty; write one, or take the line out")
    return Example(name, columns=(tuple(tokens),), label=answer, tags=marks)
