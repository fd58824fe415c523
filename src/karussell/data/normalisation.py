"""Features around 0 with spread 1: by the training data, by the utterance itself, or by both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from karussell.errors import InputError


@dataclass(frozen=True, eq=False)
class Normalisation:
    """Log energies to numbers around 0 with spread 1: y = (x - m) / std.

    With `prior_frames` None, m = mean, the average of the training data. Otherwise the utterance's own average u over
    its n loud frames (louder than its mean energy less `loud_db`) takes part, which removes the microphone:
        m = a u + (1 - a) mean,  a = n / (n + prior_frames)
    With `floor_db` the energies e = exp(x) are first brought to mean 1 and a floor is laid under them, and then
    loudness has no effect at all:
        x = ln(e / mean(e) + 10^(floor_db / 10))
    The last two need the whole utterance. With `level` they run along instead, for models that answer while somebody
    speaks: after t frames, mean(e) is that of the frames so far, of which prior_frames more at `level` are counted;
    u and n are of the loud ones so far.
    """

    mean: np.ndarray
    """[F], the average of the training data (after the level, if any)."""
    std: np.ndarray
    """[F], the spread of the training data around m."""
    prior_frames: float | None = None
    """Frames that the training mean counts for beside the utterance's own; None: only the training mean counts."""
    floor_db: float | None = None
    """Level of the floor relative to the utterance's mean energy, such as -50; None: loudness is kept."""
    loud_db: float = 15.0
    """How far below the mean energy a frame still counts as speech."""
    level: float | None = None
    """Mean energy of the training data, for normalisation that runs along; None: by the whole utterance."""

    def __post_init__(self) -> None:
        if self.level is not None and self.prior_frames is None:
            raise InputError("normalisation that runs along needs prior_frames, such as 100, to begin with something")

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Normalise log energies [T, F] of one utterance."""
        x, centre = self._whole(x) if self.level is None else self._along(x)
        return ((x - centre) / self.std).astype(np.float32)

    @classmethod
    def fit(
        cls,
        utterances: Sequence[np.ndarray],
        *,
        prior_frames: float | None = None,
        floor_db: float | None = None,
        loud_db: float = 15.0,
        running: bool = False,
    ) -> "Normalisation":
        """Measure mean and std, and the level if it is to run along, on log energies [T, F] of training utterances."""
        if not utterances:
            raise InputError("normalisation needs at least one training utterance, got none")
        bands = utterances[0].shape[1]
        level = float(np.mean([np.exp(x).mean() for x in utterances])) if running else None
        zero, one = np.zeros(bands, np.float32), np.ones(bands, np.float32)
        blank = cls(zero, one, prior_frames, floor_db, loud_db, level)
        levelled = [blank._along(x)[0] if running else blank._levelled(x) for x in utterances]
        if prior_frames is None:
            mean = np.concatenate(levelled).mean(axis=0)
        else:
            mean = np.mean([blank._loud_mean(x)[0] for x in levelled], axis=0)
        centred = cls(mean.astype(np.float32), one, prior_frames, floor_db, loud_db, level)
        rest = np.concatenate([centred(x) for x in utterances])
        std = np.maximum(np.sqrt((rest.astype(np.float64) ** 2).mean(axis=0)), 1e-3)
        return cls(centred.mean, std.astype(np.float32), prior_frames, floor_db, loud_db, level)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers for JSON; exact."""
        return {
            "mean": [float(v) for v in self.mean],
            "std": [float(v) for v in self.std],
            "prior_frames": self.prior_frames,
            "floor_db": self.floor_db,
            "loud_db": self.loud_db,
            "level": self.level,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Normalisation":
        """Read what `to_dict` gave."""
        arrays = {name: np.asarray(content[name], np.float32) for name in ("mean", "std")}
        settings = (content["prior_frames"], content["floor_db"], content["loud_db"], content.get("level"))
        return cls(arrays["mean"], arrays["std"], *settings)

    def _whole(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = self._levelled(x)
        return x, self._centre(x)

    def _along(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Levelled energies and what they are centred by, frame after frame from what was heard until then."""
        assert self.level is not None
        assert self.prior_frames is not None
        energy, prior = np.exp(x).mean(axis=1), self.prior_frames
        frames = np.arange(1, len(x) + 1)
        level = ((self.level * prior + np.cumsum(energy, dtype=np.float64)) / (frames + prior)).astype(np.float32)
        if self.floor_db is not None:
            x = np.log(np.exp(x) / level[:, None] + np.float32(10 ** (self.floor_db / 10)))
        loud = energy >= level * np.float32(10 ** (-self.loud_db / 10))
        sums = np.cumsum(np.where(loud[:, None], x, 0), axis=0, dtype=np.float64)
        count = np.cumsum(loud)[:, None]
        return x, ((sums + prior * self.mean) / (count + prior)).astype(np.float32)

    def _levelled(self, x: np.ndarray) -> np.ndarray:
        if self.floor_db is None:
            return x
        energy = np.exp(x)
        return np.log(energy / energy.mean() + np.float32(10 ** (self.floor_db / 10)))

    def _centre(self, x: np.ndarray) -> np.ndarray:
        if self.prior_frames is None:
            return self.mean
        own, n = self._loud_mean(x)
        share = np.float32(n / (n + self.prior_frames))
        return share * own + (1 - share) * self.mean

    def _loud_mean(self, x: np.ndarray) -> tuple[np.ndarray, int]:
        energy = np.exp(x).mean(axis=1)
        loud = energy >= energy.mean() * 10 ** (-self.loud_db / 10)
        return x[loud].mean(axis=0), int(loud.sum())
