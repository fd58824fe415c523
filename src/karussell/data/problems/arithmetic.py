"""Adding and multiplication (Hochreiter & Schmidhuber 1997, experiments 4 and 5).

Each step is a pair: a random number and a marker. One of the first ten pairs and one of the first T/2 - 1 others are
marked 1.0; the first and the last pair have the marker -1.0, all others 0. At the end the net says

    adding           0.5 + (X1 + X2) / 4        numbers from [-1, 1]; X1 counts as 0 if the first pair is picked
    multiplication   X1 * X2                    numbers from [0, 1];  X1 counts as 1 if the first pair is picked
"""

import numpy as np

from karussell.data.problems.sequences import Sequences, from_lengths, last_steps


def adding(rng: np.random.Generator, count: int, least: int = 100) -> Sequences:
    """Draw `count` sequences of `least` to 1.1 * `least` pairs."""
    x, starts, first, second = _marked(rng, count, least, -1.0)
    return Sequences(starts, 2, last_steps(starts), (0.5 + (first + second) / 4)[:, None], x=x)


def multiplication(rng: np.random.Generator, count: int, least: int = 100) -> Sequences:
    """Draw `count` sequences of `least` to 1.1 * `least` pairs."""
    x, starts, first, second = _marked(rng, count, least, 0.0)
    return Sequences(starts, 2, last_steps(starts), (first * second)[:, None], x=x)


def _marked(
    rng: np.random.Generator, count: int, least: int, low: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The pairs, and the two numbers that count."""
    lengths = rng.integers(least, least + least // 10 + 1, count)
    starts = from_lengths(lengths)
    x = np.zeros((int(starts[-1]), 2))
    x[:, 0] = rng.uniform(low, 1.0, len(x))
    one = rng.integers(0, 10, count)
    # one of the first T/2 - 1 pairs that is not marked yet: the picked one is stepped over
    two = rng.integers(0, least // 2 - 1, count)
    two = two + (two >= one)
    x[starts[:-1], 1] = -1.0
    x[starts[1:] - 1, 1] = -1.0
    neutral = 0.0 if low < 0 else 1.0
    numbers = []
    for place in (one, two):
        at = starts[:-1] + place
        x[at, 1] = 1.0
        numbers.append(np.where(place == 0, neutral, x[at, 0]))
    return x, starts, numbers[0], numbers[1]
