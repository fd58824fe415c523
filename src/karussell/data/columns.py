"""Tokens in columns, a line each, the label last, an empty line between sequences: the format of the CoNLL tasks."""

from collections.abc import Iterator
from pathlib import Path

from karussell.data.labelled import Example, same_channels
from karussell.data.labelled_text import content
from karussell.errors import InputError

BREAK = "-DOCSTART-"


def read_columns(path: Path | str, *, labelled: bool = True) -> list[Example]:
    """Read sequences of tokens: columns between white space, the word first, the label last unless `labelled` is False.

    Lines that begin with -DOCSTART- are passed over. A sequence is named by its first line. InputError names the line
    with another number of columns.
    """
    path = Path(path)
    found = [_sequence(f"{path.name}:{line}", rows, labelled) for line, rows in _blocks(path, content(path))]
    if not found:
        raise InputError(f"'{path}' holds no sequence; needed a token a line and an empty line between sequences")
    same_channels(found)
    return found


def _blocks(path: Path, text: str) -> Iterator[tuple[int, list[list[str]]]]:
    rows: list[list[str]] = []
    first = columns = 0
    for line, written in enumerate([*text.split("\n"), ""], start=1):
        cells = written.split()
        if cells and cells[0] != BREAK:
            columns = columns or len(cells)
            first = first if rows else line
            if len(cells) != columns:
                raise InputError(f"'{path}' line {line} has {len(cells)} columns, and the lines before have {columns}")
            rows.append(cells)
        elif rows:
            yield first, rows
            rows = []


def _sequence(name: str, rows: list[list[str]], labelled: bool) -> Example:
    columns = list(zip(*rows, strict=True))
    if labelled and len(columns) < 2:
        raise InputError(f"the sequence '{name}' has one column; needed the word first and its label last")
    tags = columns.pop() if labelled else None
    return Example(name, columns=tuple(columns), tags=tags)
