"""The floor under a classifier: the label of the most alike training sequence, or the most frequent label."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from karussell.data.labelled import Example
from karussell.tasks.sequences.scaling import fill

# training sequences that the nearest neighbour keeps, at most, evenly spread
KEPT = 20_000
# sequences on which its ways of comparing are tried, at most
TRIED = 2000
# points of a series that are compared, at most
POINTS = 500
# steps of the longest sequence that may be compared
LONGEST = 1 << 24


@dataclass(frozen=True, eq=False)
class Floor:
    """For series the nearest neighbour by Euclidean distance; for tokens the most frequent label of the training data.

    Gaps are filled along straight lines. Series are compared as they are or by their own mean and spread; those of
    unequal length are stretched to the longest, or filled up with zeros. Of these ways the one is taken that finds the
    most labels among the training series themselves, none being its own neighbour.
    """

    majority: str
    """The most frequent label."""
    vectors: np.ndarray | None = None
    """[N, points * C]."""
    labels: tuple[str, ...] = ()
    longest: int = 0
    """Steps of the longest training series."""
    every: int = 1
    """One of so many training sequences is kept."""
    own: bool = False
    """Whether series are compared by their own mean and spread."""
    stretched: bool = True
    """Whether shorter series are stretched; else filled up."""

    @classmethod
    def fit(cls, train: Sequence[Example]) -> "Floor":
        """Remember training sequences."""
        counts = Counter(str(example.label) for example in train)
        # among equals the first of the alphabet, so that the order of the data does not matter
        majority = min(counts, key=lambda label: (-counts[label], label))
        if train[0].values is None:
            return cls(majority)
        longest = max(example.steps for example in train)
        uneven = min(example.steps for example in train) < longest
        ways = [
            cls(majority, longest=longest, own=own, stretched=stretched)
            for own in (False, True)
            for stretched in ((True, False) if uneven else (True,))
        ]
        tried = [way._remembering(train, TRIED) for way in ways]
        return max(tried, key=lambda way: way._right(train))._remembering(train, KEPT)

    @property
    def name(self) -> str:
        """What the floor is."""
        return "most frequent label" if self.vectors is None else "1-nearest neighbour"

    def predict(self, data: Sequence[Example], *, among_itself: bool = False) -> list[str]:
        """A label for every sequence; `among_itself`: the data is the training data, and none is its own neighbour."""
        if self.vectors is None:
            return [self.majority] * len(data)
        found: list[str] = []
        squares = (self.vectors**2).sum(1)
        for first in range(0, len(data), 256):
            x = np.stack([self._vector(example) for example in data[first : first + 256]])
            distance = squares - 2 * x @ self.vectors.T
            if among_itself:
                place = np.arange(first, first + len(x))
                place = place[place % self.every == 0]
                distance[place - first, place // self.every] = np.inf
            found += [self.labels[k] for k in distance.argmin(1).tolist()]
        return found

    def tensors(self) -> dict[str, Tensor]:
        """What is too large for JSON."""
        return {} if self.vectors is None else {"vectors": torch.from_numpy(self.vectors)}

    def to_json(self) -> dict[str, Any]:
        """The rest."""
        names = ("majority", "longest", "every", "own", "stretched")
        return {name: getattr(self, name) for name in names} | {"labels": list(self.labels)}

    @classmethod
    def from_json(cls, values: dict[str, Any], tensors: dict[str, Tensor]) -> "Floor":
        """Read what `to_json` and `tensors` gave."""
        vectors = tensors["vectors"].numpy() if "vectors" in tensors else None
        longest, every = int(values["longest"]), int(values["every"])
        if (
            not 0 <= longest <= LONGEST
            or every < 1
            or (0 if vectors is None else len(vectors)) != len(values["labels"])
        ):
            raise ValueError("the floor's sizes do not fit one another")
        return cls(
            str(values["majority"]),
            vectors,
            tuple(values["labels"]),
            longest,
            every,
            bool(values["own"]),
            bool(values["stretched"]),
        )

    def _remembering(self, train: Sequence[Example], most: int) -> "Floor":
        every = -(-len(train) // most)
        kept = train[::every]
        vectors = np.stack([self._vector(example) for example in kept])
        return replace(self, vectors=vectors, labels=tuple(str(example.label) for example in kept), every=every)

    def _right(self, train: Sequence[Example]) -> int:
        kept = train[:: self.every]
        said = replace(self, every=1).predict(kept, among_itself=True)
        return sum(label == example.label for label, example in zip(said, kept, strict=True))

    def _vector(self, example: Example) -> np.ndarray:
        assert example.values is not None
        values = fill(example.values)
        if self.own:
            spread = values.std(0)
            values = (values - values.mean(0)) / np.where(spread > 0, spread, 1)
        if not self.stretched:
            values = np.pad(values[: self.longest], ((0, max(0, self.longest - len(values))), (0, 0)))
        points = min(POINTS, self.longest)
        if len(values) != points:
            places = np.linspace(0, len(values) - 1, points)
            values = np.stack([np.interp(places, np.arange(len(values)), channel) for channel in values.T], 1)
        return values.astype(np.float32).ravel()
