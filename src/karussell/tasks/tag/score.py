"""Chunks and how many of them are found: precision, recall and F1 by the rules of conlleval (Tjong Kim Sang 2000).

A label is O, or a position and a type with a hyphen between: B-NP begins a chunk, I-NP goes on with one, E-NP is the
end of one. An I or an E after O, or of another type than the label before, begins a chunk as well; that is what the
published script does, and so figures can be compared. A chunk counts as found if its beginning, its end and its type
are all right. F1 = 2 P R / (P + R).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from karussell.errors import InputError

_OUTSIDE, _SINGLE = ("O", "."), ("[", "]")
_ENDS = {("B", "B"), ("B", "O"), ("I", "B"), ("I", "O"), ("E", "E"), ("E", "I"), ("E", "O")}
_STARTS = {("B", "B"), ("I", "B"), ("O", "B"), ("O", "I"), ("E", "E"), ("E", "I"), ("O", "E")}


@dataclass(frozen=True)
class Chunks:
    """How many chunks there are, were said, and were right."""

    right: int
    said: int
    there: int

    @property
    def precision(self) -> float:
        """Share of what was said that is right; 0 where nothing was said."""
        return self.right / self.said if self.said else 0.0

    @property
    def recall(self) -> float:
        """Share of what is there that was found; 0 where nothing is there."""
        return self.right / self.there if self.there else 0.0

    @property
    def f1(self) -> float:
        """2 P R / (P + R)."""
        return 2 * self.right / (self.said + self.there) if self.said + self.there else 0.0


def chunks(labels: Sequence[str]) -> set[tuple[int, int, str]]:
    """The chunks of one sequence: first step, last step, type."""
    found, start = set(), 0
    tag, kind = "O", ""
    for step, label in enumerate([*labels, "O"]):
        before, kind_before = tag, kind
        tag, kind = _split(label)
        other = kind != kind_before
        ends = (before, tag) in _ENDS or (before not in _OUTSIDE and other) or before in _SINGLE
        starts = (before, tag) in _STARTS or (tag not in _OUTSIDE and other) or tag in _SINGLE
        if ends:
            found.add((start, step - 1, kind_before))
        if starts:
            start = step
    return found


def count_chunks(truth: Sequence[Sequence[str]], said: Sequence[Sequence[str]]) -> Chunks:
    """The chunks of many sequences; InputError where two do not belong together."""
    right = total = there = 0
    for number, (one, other) in enumerate(zip(truth, said, strict=True)):
        if len(one) != len(other):
            raise InputError(
                f"count_chunks: sequence {number} has {len(one)} labels and {len(other)} were said; "
                "every step needs one of each"
            )
        mine, yours = chunks(one), chunks(other)
        right, total, there = right + len(mine & yours), total + len(yours), there + len(mine)
    return Chunks(right, total, there)


def by_type(truth: Sequence[Sequence[str]], said: Sequence[Sequence[str]]) -> dict[str, Chunks]:
    """The same for every type by itself."""
    counts: dict[str, list[int]] = {}
    for one, other in zip(truth, said, strict=True):
        mine, yours = chunks(one), chunks(other)
        for place, found in enumerate((mine & yours, yours, mine)):
            for _, _, kind in found:
                counts.setdefault(kind, [0, 0, 0])[place] += 1
    return {kind: Chunks(*counts[kind]) for kind in sorted(counts)}


def interval(truth: Sequence[Sequence[str]], said: Sequence[Sequence[str]], chunked: bool) -> tuple[float, float]:
    """The 95 % interval of F1, or of the share of right labels, by a bootstrap over sequences (1,000 draws)."""
    rows = []
    for one, other in zip(truth, said, strict=True):
        found = count_chunks([one], [other])
        right = sum(a == b for a, b in zip(one, other, strict=True))
        rows.append((2 * found.right, found.said + found.there) if chunked else (right, len(one)))
    counts = np.array(rows, np.float64)
    chosen = np.random.default_rng(0).integers(0, len(counts), (1000, len(counts)))
    sums = counts[chosen].sum(1)
    shares = np.sort(sums[:, 0] / np.maximum(sums[:, 1], 1))
    return float(shares[25]), float(shares[974])


def is_chunked(labels: Sequence[str]) -> bool:
    """Whether labels are of chunks: O and nothing but B-, I-, E- with a type."""
    return any(label.startswith("B-") for label in labels) and all(
        label == "O" or label[:2] in ("B-", "I-", "E-") for label in labels
    )


def _split(label: str) -> tuple[str, str]:
    tag, hyphen, kind = label.partition("-")
    return (tag, kind) if hyphen else (label, "")
