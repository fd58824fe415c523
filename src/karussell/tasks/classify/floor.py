"""The floor under a classifier: the label of the most alike training sequence, or the most frequent label."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from karussell.data.labelled import Example
from karussell.tasks.sequences.scaling import fill

# training sequences that the nearest neighbour keeps, at most, evenly spread
KEPT = 20_000
# points that series of unequal length are brought to, at most
POINTS = 500


@dataclass(frozen=True, eq=False)
class Floor:
    """For series the nearest neighbour by Euclidean distance; for tokens the most frequent label of the training data.

    Gaps are filled along straight lines; where training series differ in length, all are stretched to the longest.
    """

    majority: str
    """The most frequent label."""
    vectors: np.ndarray | None = None
    """[N, points * C]."""
    labels: tuple[str, ...] = ()
    points: int = 0
    every: int = 1
    """One of so many training sequences is kept."""

    @classmethod
    def fit(cls, train: Sequence[Example]) -> "Floor":
        """Remember training sequences."""
        counts = Counter(str(example.label) for example in train)
        # among equals the first of the alphabet, so that the order of the data does not matter
        majority = min(counts, key=lambda label: (-counts[label], label))
        if train[0].values is None:
            return cls(majority)
        every = -(-len(train) // KEPT)
        kept = train[::every]
        points = min(POINTS, max(example.steps for example in train))
        vectors = np.stack([_vector(example, points) for example in kept])
        return cls(majority, vectors, tuple(str(example.label) for example in kept), points, every)

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
            x = np.stack([_vector(example, self.points) for example in data[first : first + 256]])
            distance = squares - 2 * x @ self.vectors.T
            if among_itself:
                own = np.arange(first, first + len(x))
                own = own[own % self.every == 0]
                distance[own - first, own // self.every] = np.inf
            found += [self.labels[k] for k in distance.argmin(1).tolist()]
        return found

    def tensors(self) -> dict[str, Tensor]:
        """What is too large for JSON."""
        return {} if self.vectors is None else {"vectors": torch.from_numpy(self.vectors)}

    def to_json(self) -> dict[str, Any]:
        """The rest."""
        return {
            "majority": self.majority,
            "labels": list(self.labels),
            "points": self.points,
            "every": self.every,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any], tensors: dict[str, Tensor]) -> "Floor":
        """Read what `to_json` and `tensors` gave."""
        vectors = tensors["vectors"].numpy() if "vectors" in tensors else None
        labels, points, every = tuple(values["labels"]), int(values["points"]), int(values["every"])
        return cls(str(values["majority"]), vectors, labels, points, every)


def _vector(example: Example, points: int) -> np.ndarray:
    assert example.values is not None
    values = fill(example.values)
    if len(values) != points:
        places = np.linspace(0, len(values) - 1, points)
        values = np.stack([np.interp(places, np.arange(len(values)), channel) for channel in values.T], 1)
    return values.astype(np.float32).ravel()
