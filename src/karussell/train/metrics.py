"""The history of a run: one JSON object a line, cut back to the checkpoint when a run continues."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Row = dict[str, Any]


class MetricsFile:
    """Appends rows to metrics.jsonl after its first `keep` rows; later ones, of a lost future, are dropped."""

    def __init__(self, path: Path, *, keep: int, write: bool = True) -> None:
        self.rows: list[Row] = read_metrics(path)[:keep]
        # a process that does not write keeps its rows to itself
        self._path = path if write else Path(os.devnull)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._begin()

    def add(self, row: Mapping[str, Any]) -> None:
        """Append one row; it is in the hands of the operating system when this returns."""
        self.rows.append(dict(row))
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def cut(self, keep: int) -> None:
        """Drop all but the first `keep` rows: the run went back to when there were so many."""
        self._file.close()
        self.rows = self.rows[:keep]
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def _begin(self) -> None:
        if self._path == Path(os.devnull):
            self._file = self._path.open("a")
            return
        partial = self._path.with_name(f".{self._path.name}.partial")
        partial.write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        os.replace(partial, self._path)
        self._file = self._path.open("a")


def read_metrics(path: Path) -> list[Row]:
    """All whole rows of a metrics file; a last line that a kill cut short is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
