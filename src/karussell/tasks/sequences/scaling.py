"""Measurements as a network likes them: gaps filled, channels around 0 with spread 1, by the training data alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from karussell.data.labelled import Example

# a spread below this share of a channel's size is none
FLAT = 1e-6
# series whose own means and spreads are within this of 0 and 1 came normalised already
NORMALISED = 0.05


@dataclass(frozen=True, eq=False)
class Scaling:
    """What a sequence [T, C] becomes, [T, D]: several views side by side.

    scaled      (x - mean) / std with the mean and the spread of each channel over all training steps
    steps       x_t - x_t-1 of the scaled, divided by its spread over the training data
    own         (x - mean of this sequence) / its own spread, where training sequences were not normalised already
    missing     1 where a value is missing, where training misses any; gaps are filled along a straight line
    """

    mean: np.ndarray
    std: np.ndarray
    step_std: np.ndarray
    own: bool
    missing: bool
    steps: bool

    @classmethod
    def fit(cls, examples: Sequence[Example], *, steps: bool, own: bool) -> "Scaling":
        """Measure training data; nothing else is ever looked at."""
        rows = [example.values for example in examples if example.values is not None]
        # row by row, so that no copy of the whole data is made
        count = sum(len(row) for row in rows)
        mean = sum(fill(row).sum(0, dtype=np.float64) for row in rows) / count
        squares = sum(((fill(row) - mean) ** 2).sum(0) for row in rows)
        std = _usable(np.sqrt(squares / count), np.abs(mean))
        changes = sum((_changes((fill(row) - mean) / std) ** 2).sum(0) for row in rows)
        return cls(
            mean.astype(np.float32),
            std.astype(np.float32),
            _usable(np.sqrt(changes / count), np.ones_like(mean)).astype(np.float32),
            own and not all(_normalised((fill(row) - mean) / std) for row in rows),
            any(bool(np.isnan(row).any()) for row in rows),
            steps,
        )

    @property
    def channels(self) -> int:
        """C."""
        return len(self.mean)

    @property
    def size(self) -> int:
        """D."""
        return len(self.mean) * (1 + self.own + self.missing + self.steps)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The views [T, D] of a sequence [T, C]."""
        filled = fill(values)
        scaled = (filled - self.mean) / self.std
        views = [scaled]
        if self.steps:
            views.append(_changes(scaled) / self.step_std)
        if self.own:
            centre = filled.mean(0, dtype=np.float64)
            views.append((filled - centre) / _usable(filled.std(0, dtype=np.float64), np.abs(centre)))
        if self.missing:
            views.append(np.isnan(values))
        # far outside of what training has seen nothing is learned
        return np.clip(np.concatenate(views, 1), -30, 30).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        numbers = {name: getattr(self, name).tolist() for name in ("mean", "std", "step_std")}
        return numbers | {"own": self.own, "missing": self.missing, "steps": self.steps}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Scaling":
        """Read what `to_json` gave."""
        mean, std, step_std = (np.asarray(values[name], np.float32) for name in ("mean", "std", "step_std"))
        return cls(mean, std, step_std, bool(values["own"]), bool(values["missing"]), bool(values["steps"]))


def fill(values: np.ndarray) -> np.ndarray:
    """Missing values [T, C] along straight lines between their neighbours; at the ends the nearest, 0 if all miss."""
    gaps = np.isnan(values)
    if not gaps.any():
        return values
    filled, time = values.copy(), np.arange(len(values))
    for channel in np.flatnonzero(gaps.any(axis=0)):
        there = ~gaps[:, channel]
        filled[:, channel] = np.interp(time, time[there], values[there, channel]) if there.any() else 0
    return filled


def _changes(values: np.ndarray) -> np.ndarray:
    return np.diff(values, axis=0, prepend=values[:1])


def _normalised(scaled: np.ndarray) -> bool:
    return bool(np.abs(scaled.mean(0)).max() < NORMALISED and np.abs(scaled.std(0) - 1).max() < NORMALISED)


def _usable(spread: np.ndarray, size: np.ndarray) -> np.ndarray:
    """A spread that can be divided by: 1 where a channel is constant, as far as its size lets one see."""
    return np.where(spread > FLAT * np.maximum(1.0, size), spread, 1)
