"""Temporal order (Hochreiter & Schmidhuber 1997, experiments 6a and 6b).

E, then 100 to 110 symbols up to B, nearly all of them random a, b, c, d; at 2 or 3 places stands X or Y. After B the
net says in which order they came: one of 4 or 8 classes, coded one-hot.
"""

import numpy as np

from karussell.data.problems.sequences import Sequences, from_lengths, last_steps, one_hot

SYMBOLS = "EBabcdXY"
PLACES = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}


def temporal_order(rng: np.random.Generator, count: int, marks: int = 2) -> Sequences:
    """Draw `count` sequences with `marks` relevant symbols (2: experiment 6a, 3: 6b)."""
    lengths = rng.integers(100, 111, count)
    starts = from_lengths(lengths)
    symbols = rng.integers(2, 6, int(starts[-1])).astype(np.int32)
    symbols[starts[:-1]] = 0
    symbols[starts[1:] - 1] = 1
    classes = np.zeros(count, np.int64)
    for low, high in PLACES[marks]:
        place, second = rng.integers(low, high + 1, count), rng.integers(0, 2, count)
        symbols[starts[:-1] + place] = 6 + second
        classes = 2 * classes + second
    return Sequences(starts, 8, last_steps(starts), one_hot(classes, 2**marks), symbols=symbols)
