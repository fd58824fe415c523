"""Precise timing (Gers, Schraudolph & Schmidhuber 2002): streams of spikes whose intervals F + I vary by I.

measuring    MSD: the input is 0 with spikes of 1; at every spike the target is the I of the interval that ends
generating   GTS: the input is the I of the interval at hand, the target the spike that ends it
periodic     PFG: no input; the target is a cosine, a triangle or a rectangle of period F
"""

import numpy as np

from karussell.data.problems.sequences import Sequences

SHAPES = ("cosine", "triangle", "rectangle")


def measuring(rng: np.random.Generator, intervals: int, period: int = 10, extra: tuple[int, ...] = (0, 1)) -> Sequences:
    """Draw a stream of `intervals` + 1 spikes; a target stands at every spike but the first."""
    drawn, spikes = _spikes(rng, intervals, period, extra)
    steps = int(spikes[-1]) + 1
    x, due = np.zeros((steps, 1)), np.zeros(steps, bool)
    x[spikes] = 1.0
    due[spikes[1:]] = True
    return Sequences(np.array([0, steps]), 1, due, drawn[:, None].astype(float), x=x)


def generating(
    rng: np.random.Generator, intervals: int, period: int = 10, extra: tuple[int, ...] = (0, 1)
) -> Sequences:
    """Draw a stream of `intervals` spikes to produce; every step has a target, 1 at a spike and 0 elsewhere."""
    drawn, spikes = _spikes(rng, intervals, period, extra)
    steps = int(spikes[-1])
    target = np.zeros((steps, 1))
    target[spikes[1:] - 1] = 1.0
    x = np.repeat(drawn, period + drawn).astype(float)[:, None]
    return Sequences(np.array([0, steps]), 1, np.ones(steps, bool), target, x=x)


def periodic(periods: int, period: int = 10, shape: str = "cosine") -> Sequences:
    """`periods` of a function between 0 and 1; the input is always 0."""
    t = np.arange(periods * period)
    phase = t % period / period
    if shape == "cosine":
        y = 0.5 * (1 - np.cos(2 * np.pi * t / period))
    elif shape == "triangle":
        y = 1 - np.abs(2 * phase - 1)
    elif shape == "rectangle":
        y = (phase >= 0.5).astype(float)
    else:
        raise ValueError(f"periodic: shape is {shape!r}; it must be one of {', '.join(SHAPES)}")
    return Sequences(np.array([0, len(t)]), 1, np.ones(len(t), bool), y[:, None], x=np.zeros((len(t), 1)))


def _spikes(
    rng: np.random.Generator, intervals: int, period: int, extra: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """What each interval has beyond the period, and the steps of the spikes that bound them."""
    drawn = rng.choice(np.array(extra), intervals)
    return drawn, np.concatenate([[0], np.cumsum(period + drawn)])
