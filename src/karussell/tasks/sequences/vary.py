"""Training series varied a little, so that few of them teach more: stretched in time, scaled, shifted, masked."""

from dataclasses import dataclass

import numpy as np

from karussell.errors import InputError

# knots of the smooth curves that bend time and size
KNOTS = 5


@dataclass(frozen=True)
class Vary:
    """How far a series is varied, each with values drawn anew for every series and epoch; 0 leaves it out."""

    warp: float = 0.05
    """Local speed is bent by up to this share, smoothly."""
    shift: float = 0.02
    """The series moves in time by up to this share of its length; its end is repeated."""
    size: float = 0.05
    """Sizes are bent by up to this share, smoothly."""
    noise: float = 0.0
    """Noise of this share of the spread."""
    mask: float = 0.0
    """One stretch of up to this share of the length is replaced by a straight line."""

    def __post_init__(self) -> None:
        for name in ("warp", "shift", "size", "noise", "mask"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"vary.{name} is {getattr(self, name)}; it must be 0 (off) or a share below 1")

    def __call__(self, values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A variation [T, C] of filled values [T, C]; the spread they are measured by is their own."""
        steps = len(values)
        if steps < 4:
            return values
        spread = values.std(0)
        time = np.arange(steps, dtype=np.float64)
        speed = np.exp(self.warp * _smooth(rng, steps))
        places = np.cumsum(speed) - speed[0]
        places = places * (steps - 1) / max(places[-1], 1e-9) + rng.uniform(-self.shift, self.shift) * steps
        varied = np.stack([np.interp(places, time, channel) for channel in values.T], 1)
        centre = varied.mean(0)
        varied = centre + (varied - centre) * (1 + self.size * _smooth(rng, steps))[:, None]
        if self.noise:
            varied += rng.normal(size=varied.shape) * self.noise * spread
        width = int(rng.uniform(0, self.mask) * steps)
        if width > 1:
            first = int(rng.integers(0, steps - width + 1))
            ramp = np.linspace(0, 1, width)[:, None]
            varied[first : first + width] = varied[first] + ramp * (varied[first + width - 1] - varied[first])
        return varied.astype(np.float32)


def _smooth(rng: np.random.Generator, steps: int) -> np.ndarray:
    """A smooth curve [steps] between -1 and 1."""
    knots = rng.uniform(-1, 1, KNOTS)
    places = np.linspace(0, KNOTS - 1, steps)
    left = np.minimum(places.astype(int), KNOTS - 2)
    # half a cosine from knot to knot: no kinks, which would show in the change from step to step
    share = (1 - np.cos(np.pi * (places - left))) / 2
    return (1 - share) * knots[left] + share * knots[left + 1]
