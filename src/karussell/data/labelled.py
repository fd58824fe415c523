"""Sequences with answers: measurements or tokens step by step, and one label for all of it or one for every step."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from karussell.errors import InputError


@dataclass(frozen=True, eq=False)
class Example:
    """One sequence of T steps: measurements, tokens, or both, and its answer where it is known."""

    id: str
    """A name for messages and reports."""
    values: np.ndarray | None = None
    """Measurements [T, C] float32; NaN is missing."""
    columns: tuple[tuple[str, ...], ...] = ()
    """Columns of T tokens each; the first is the word, whose spelling is looked at as well."""
    label: str | None = None
    """What the whole sequence is."""
    tags: tuple[str, ...] | None = None
    """What every step is."""

    def __post_init__(self) -> None:
        if self.values is not None:
            object.__setattr__(self, "values", _measurements(self.values, self.id))
        counts = [len(column) for column in self.columns] + ([] if self.values is None else [len(self.values)])
        if not counts or min(counts) == 0:
            raise InputError(f"the sequence '{self.id}' is empty; it needs at least one step, so leave it out")
        if self.tags is not None:
            counts.append(len(self.tags))
        if len(set(counts)) > 1:
            raise InputError(
                f"the sequence '{self.id}' has {' and '.join(map(str, counts))} steps in its parts; "
                "every column, the measurements and the tags need one entry a step"
            )
        if any(not token for column in self.columns for token in column):
            raise InputError(f"the sequence '{self.id}' holds an empty token; leave it out or write a placeholder")

    @property
    def steps(self) -> int:
        """T."""
        return len(self.columns[0]) if self.columns else len(self.values)  # type: ignore[arg-type]


def from_arrays(
    values: Iterable[Any], labels: Iterable[Any] | None = None, *, tags: Iterable[Any] | None = None, name: str = "row"
) -> list[Example]:
    """Examples from arrays: [N, T], [N, T, C], or N arrays [T] or [T, C] of any lengths; `labels` [N] or `tags`.

    Steps at the end at which every channel is missing (NaN) are cut off: rows of unequal length are often padded so.
    InputError names the row that is infinite, no number, or of another number of channels.
    """
    rows = [np.asarray(row) for row in values]
    given = [None] * len(rows) if labels is None else [str(label) for label in labels]
    answers = [None] * len(rows) if tags is None else [tuple(map(str, row)) for row in tags]
    for what, count in (("labels", len(given)), ("tags", len(answers))):
        if count != len(rows):
            raise InputError(f"from_arrays: there are {len(rows)} sequences and {count} {what}; give one for each")
    made = []
    for number, (row, label, answer) in enumerate(zip(rows, given, answers, strict=True)):
        found = _measurements(row, f"{name} {number}")
        present = np.flatnonzero(~np.isnan(found).all(axis=1))
        if len(found) and not len(present):
            raise InputError(f"the sequence '{name} {number}' has no value that is not missing; leave it out")
        last = int(present[-1]) + 1 if len(present) and answer is None else len(found)
        made.append(Example(f"{name} {number}", found[:last], label=label, tags=answer))
    same_channels(made)
    return made


def same_channels(examples: Sequence[Example]) -> None:
    """See that all examples have as many channels and columns as the first."""
    for example in examples:
        for what, one, first in (
            ("channels", channels(example), channels(examples[0])),
            ("token columns", len(example.columns), len(examples[0].columns)),
        ):
            if one != first:
                raise InputError(
                    f"the sequence '{example.id}' has {one} {what}, and '{examples[0].id}' has {first}; "
                    "all of a set must have the same"
                )


def channels(example: Example) -> int:
    """C, 0 without measurements."""
    return 0 if example.values is None else example.values.shape[1]


def _measurements(values: Any, name: str) -> np.ndarray:
    found = np.asarray(values)
    if found.dtype.kind not in "fiub":
        raise InputError(f"the sequence '{name}' holds {found.dtype} and not numbers; convert it to float first")
    if found.ndim == 1:
        found = found[:, None]
    if found.ndim != 2:
        raise InputError(f"the sequence '{name}' is {list(found.shape)}; it must be [T] or [T, C]")
    if np.isinf(found).any():
        step = int(np.flatnonzero(np.isinf(found).any(axis=1))[0])
        raise InputError(f"the sequence '{name}' is infinite at step {step}; correct it, or make it NaN for missing")
    return np.ascontiguousarray(found, dtype=np.float32)
