"""What a network sees of a sequence: everything that is measured or counted for it comes from the training data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from karussell.data.labelled import Example, channels, same_channels
from karussell.errors import InputError
from karussell.tasks.sequences.scaling import Scaling
from karussell.tasks.sequences.words import Tokens, spelling


@dataclass(frozen=True)
class InputConfig:
    """What is made of measurements and tokens."""

    steps: bool = True
    """Whether the change from step to step is shown beside each measurement."""
    own: bool = True
    """Whether measurements are also shown by the sequence's own mean and spread, where they differ."""
    fold: bool = True
    """Whether words are told apart without capitals and digits; their spelling still shows them."""
    least: int = 1
    """How often training must see a token to know it."""


class Row(NamedTuple):
    """One sequence ready for a batch."""

    values: np.ndarray
    """[T, D] float32; D may be 0."""
    numbers: np.ndarray
    """Token numbers [T, N] int64; N may be 0."""
    words: tuple[str, ...]
    """The spellings of the first column, or nothing."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Scaling and token numbers, learned from training data by `fit`."""

    scaling: Scaling | None
    columns: tuple[Tokens, ...]
    letters: Tokens

    @classmethod
    def fit(cls, examples: Sequence[Example], config: InputConfig) -> "Inputs":
        """Measure and count training examples; nothing else is ever looked at."""
        if not examples:
            raise InputError("there is not one sequence to train on; give at least one")
        same_channels(examples)
        scaling = None
        if channels(examples[0]):
            scaling = Scaling.fit(examples, steps=config.steps, own=config.own)
        columns = tuple(
            Tokens.count((e.columns[k] for e in examples), fold=config.fold and k == 0, least=config.least)
            for k in range(len(examples[0].columns))
        )
        words = {word for example in examples for column in example.columns[:1] for word in column}
        return cls(scaling, columns, Tokens.count((spelling(word) for word in sorted(words)), fold=False))

    @property
    def size(self) -> int:
        """D, the measurements of a step as they are shown."""
        return 0 if self.scaling is None else self.scaling.size

    @property
    def channels(self) -> int:
        """C, the measurements of a step as they come."""
        return 0 if self.scaling is None else self.scaling.channels

    def __call__(self, example: Example) -> Row:
        """What is shown of an example; InputError where it has other channels or columns than the training data."""
        self.check(example)
        views = np.zeros((example.steps, 0), np.float32)
        if self.scaling is not None and example.values is not None:
            views = self.scaling(example.values)
        numbers = np.zeros((example.steps, len(self.columns)), np.int64)
        for k, (tokens, column) in enumerate(zip(self.columns, example.columns, strict=True)):
            numbers[:, k] = tokens.numbers(column)
        return Row(views, numbers, tuple(map(spelling, example.columns[0])) if example.columns else ())

    def check(self, example: Example) -> None:
        """See that an example has the channels and columns of the training data."""
        for what, came, need in (
            ("channels", channels(example), self.channels),
            ("token columns", len(example.columns), len(self.columns)),
        ):
            if came != need:
                raise InputError(
                    f"the sequence '{example.id}' has {came} {what}, and the model was trained with {need}; "
                    "give it the same columns as in training"
                )

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "scaling": None if self.scaling is None else self.scaling.to_json(),
            "columns": [column.to_json() for column in self.columns],
            "letters": self.letters.to_json(),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Inputs":
        """Read what `to_json` gave."""
        scaling = None if values["scaling"] is None else Scaling.from_json(values["scaling"])
        columns = tuple(Tokens.from_json(column) for column in values["columns"])
        return cls(scaling, columns, Tokens.from_json(values["letters"]))


def words(values: Any) -> list[str]:
    """A list of labels from JSON; ValueError where it is none."""
    if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
        raise ValueError(f"the labels are {str(values)[:40]!r}, needed a list of words")
    return values
