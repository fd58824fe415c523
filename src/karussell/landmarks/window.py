"""Criteria of 1997: so many sequences in a row without a wrong one, and an average error over them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


class Window:
    """The errors of the latest `size` sequences, in the order they were seen."""

    def __init__(self, size: int = 2000) -> None:
        self.size, self.seen = size, 0
        self._worst, self._mean = np.zeros(0), np.zeros(0)

    def feed(self, worst: np.ndarray, mean: np.ndarray) -> None:
        """Add sequences: the greatest and the mean absolute error of each."""
        self.seen += len(worst)
        self._worst = np.concatenate([self._worst, worst])[-self.size :]
        self._mean = np.concatenate([self._mean, mean])[-self.size :]

    def right(self, within: float) -> bool:
        """Whether the window is full and every error in it below `within`."""
        return len(self._worst) == self.size and bool((self._worst < within).all())

    def wrong(self, within: float) -> int:
        """How many sequences in it are wrong; all of them while it is not full."""
        return int((self._worst >= within).sum()) + self.size - len(self._worst)

    def average(self) -> float:
        """The mean absolute error over it; infinite while it is not full."""
        return float(self._mean.mean()) if len(self._mean) == self.size else float("inf")


@dataclass
class Learned:
    """How a training went: sequences seen in all, and when the looser and the strict criterion were first met."""

    seen: int = 0
    reached: int | None = None
    strict: int | None = None
    average: float = float("inf")
    curve: list[tuple[float, float]] = field(default_factory=list)


def until(
    step: Callable[[], tuple[np.ndarray, np.ndarray]],
    cap: int,
    strict: Callable[[Window], bool],
    reached: Callable[[Window], bool] | None = None,
    *,
    size: int = 2000,
    points: int = 60,
) -> Learned:
    """Take steps of training, each giving its sequences' greatest and mean errors, to the strict criterion or the cap.

    Criteria are looked at after every step, so counts are multiples of what a step shows.
    """
    window, learned, recent = Window(size), Learned(), []
    while window.seen < cap:
        worst, mean = step()
        window.feed(worst, mean)
        recent.append((float(window.seen), float(mean.mean())))
        if learned.reached is None and (reached or strict)(window):
            learned.reached = window.seen
        if strict(window):
            learned.strict = window.seen
            break
        if not np.isfinite(mean).all():
            break
    learned.seen, learned.average = window.seen, window.average()
    learned.curve = thinned(recent, points)
    return learned


def thinned(points: list[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most so many points: means over neighbours."""
    if len(points) <= most:
        return points
    parts = np.array_split(np.array(points), most)
    return [(float(part[-1, 0]), float(part[:, 1].mean())) for part in parts]
