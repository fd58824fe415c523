"""Long time lags (Hochreiter & Schmidhuber 1997, experiments 2a, 2b and 2c).

2a   (y, a_1 ... a_(p-1), y) or (x, a_1 ... a_(p-1), x), each with probability 1/2: predict every next symbol
2b   the same with random symbols in the middle
2c   b, then x or y, q random distractors, a suffix (each further step another distractor with probability 9/10, or e
     with 1/10), then x or y again: predict it after e, at a lag of at least q + 1
"""

import numpy as np

from karussell.data.problems.sequences import Sequences, from_lengths, last_steps, one_hot


def delayed_recall(rng: np.random.Generator, count: int, p: int = 100, *, local: bool = True) -> Sequences:
    """Draw sequences of p + 1 symbols among p + 1: 0 ... p - 2 are a_1 ... a_(p-1), then x, y; experiments 2a and 2b.

    The net sees the first p and predicts the next at every step; with `local=False` the middle is random.
    """
    chosen = p - 1 + rng.integers(0, 2, count)
    whole = np.empty((count, p + 1), np.int32)
    whole[:, 1:-1] = np.arange(p - 1) if local else rng.integers(0, p - 1, (count, p - 1))
    whole[:, 0] = whole[:, -1] = chosen
    starts = from_lengths(np.full(count, p))
    symbols, following = whole[:, :-1].reshape(-1), whole[:, 1:].reshape(-1)
    return Sequences(starts, p + 1, np.ones(count * p, bool), one_hot(following, p + 1), symbols=symbols)


def distracted_recall(rng: np.random.Generator, count: int, q: int = 50, p: int = 50) -> Sequences:
    """Draw sequences of experiment 2c over p + 4 symbols: 0 ... p - 1 distract, then x, y, b, e; 2 outputs."""
    # the number of further distractors before e is geometric
    lengths = 2 + q + rng.geometric(0.1, count)
    starts = from_lengths(lengths)
    symbols = rng.integers(0, p, int(starts[-1])).astype(np.int32)
    second = rng.integers(0, 2, count)
    symbols[starts[:-1]] = p + 2
    symbols[starts[:-1] + 1] = p + second
    symbols[starts[1:] - 1] = p + 3
    return Sequences(starts, p + 4, last_steps(starts), one_hot(second, 2), symbols=symbols)


def two_sequences(
    rng: np.random.Generator, count: int, least: int = 100, informative: int = 3, *, variant: str = "a"
) -> Sequences:
    """Draw sequences of the two-sequence problem (Bengio, Simard & Frasconi 1994; 1997, experiments 3a to 3c).

    The first N elements are +1 or -1 by class, the rest is noise of variance 0.2; the target at the end is 1 or 0.
    In variant "b" the informative elements carry the noise too, in "c" the targets are 0.2 and 0.8 with noise of
    variance 0.1; `clean_targets` gives them without it.
    """
    lengths = rng.integers(least, least + least // 10 + 1, count)
    starts = from_lengths(lengths)
    second = rng.integers(0, 2, count)
    x = rng.normal(0.0, np.sqrt(0.2), int(starts[-1]))
    for k in range(informative):
        sign = 2.0 * second - 1.0
        at = starts[:-1] + k
        x[at] = sign if variant == "a" else sign + x[at]
    target = second.astype(float)
    if variant == "c":
        target = 0.2 + 0.6 * second + rng.normal(0.0, np.sqrt(0.1), count)
    return Sequences(starts, 1, last_steps(starts), target[:, None], x=x[:, None])


def clean_targets(sequences: Sequences, informative: int = 1) -> np.ndarray:
    """The targets of variant "c" without their noise: 0.2 or 0.8 by the sign of the informative elements."""
    assert sequences.x is not None
    first = sum(sequences.x[sequences.starts[:-1] + k, 0] for k in range(informative))
    return 0.2 + 0.6 * (np.asarray(first) > 0)
