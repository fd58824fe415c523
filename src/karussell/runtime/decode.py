"""Best paths into text while rows come, in NumPy: `karussell.ctc.greedy`, a piece at a time."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Label(NamedTuple):
    """One label that was heard: its number and text, its time in seconds, and its confidence."""

    token: int
    text: str
    start: float
    end: float
    confidence: float


class Transcript(NamedTuple):
    """What a recording says; the fields are those of `karussell.ctc.Hypothesis`."""

    text: str
    tokens: tuple[int, ...]
    starts: tuple[float, ...]
    ends: tuple[float, ...]
    confidences: tuple[float, ...]
    score: float


class Greedy:
    """Rows of log-posteriors [n, K] in, finished labels out; a run of equal labels is one label."""

    def __init__(self, symbols: Sequence[str], blank: int, step_seconds: float, start: float = 0.0) -> None:
        self._texts = (*symbols[:blank], "", *symbols[blank:])
        self._blank, self._seconds, self._start = blank, step_seconds, start
        self._label, self._since, self._best, self._at = blank, 0, -np.inf, 0
        self.score = 0.0

    def push(self, rows: np.ndarray) -> list[Label]:
        """Take rows, and give the labels whose run ended in them."""
        found = []
        path, best = rows.argmax(1).tolist(), rows.max(1, initial=-np.inf).tolist()
        for label, value in zip(path, best, strict=True):
            if label != self._label:
                found += self._close()
                self._label, self._since, self._best = label, self._at, -np.inf
            self._best = max(self._best, value)
            self.score += value
            self._at += 1
        return found

    def finish(self) -> list[Label]:
        """The label whose run lasted to the end, if any."""
        found = self._close()
        self._label = self._blank
        return found

    def _close(self) -> list[Label]:
        if self._label == self._blank:
            return []
        start, end = (self._start + at * self._seconds for at in (self._since, self._at))
        return [Label(self._label, self._texts[self._label], start, end, min(float(np.exp(self._best)), 1.0))]


def transcript(labels: Sequence[Label], separator: str, score: float, end: float = np.inf) -> Transcript:
    """Labels as one transcript; no label ends after `end`."""
    return Transcript(
        separator.join(label.text for label in labels),
        tuple(label.token for label in labels),
        tuple(label.start for label in labels),
        tuple(min(end, label.end) for label in labels),
        tuple(label.confidence for label in labels),
        score,
    )
