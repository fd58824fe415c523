"""The floor under a tagger: the most frequent label of each word, and of everything for a word that is new."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from karussell.data.labelled import Example


@dataclass(frozen=True)
class Floor:
    """Labels by the token of the first column; without tokens the most frequent label alone."""

    words: Mapping[str, str]
    most: str

    @classmethod
    def fit(cls, train: Sequence[Example]) -> "Floor":
        """Count training sequences."""
        total: Counter[str] = Counter()
        words: dict[str, Counter[str]] = {}
        for example in train:
            total.update(example.tags or ())
            for word, label in zip(example.columns[0] if example.columns else (), example.tags or (), strict=False):
                words.setdefault(word, Counter())[label] += 1
        return cls({word: _first(counts) for word, counts in words.items()}, _first(total))

    @property
    def name(self) -> str:
        """What the floor is."""
        return "most frequent label of each word" if self.words else "most frequent label"

    def predict(self, data: Sequence[Example]) -> list[list[str]]:
        """A label for every step."""
        return [
            [self.words.get(word, self.most) for word in example.columns[0]]
            if example.columns
            else [self.most] * example.steps
            for example in data
        ]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"words": dict(self.words), "most": self.most}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Floor":
        """Read what `to_json` gave."""
        return cls(dict(values["words"]), str(values["most"]))


def _first(counts: Counter[str]) -> str:
    # among equals the first of the alphabet, so that the order of the data does not matter
    return min(counts, key=lambda label: (-counts[label], label))
