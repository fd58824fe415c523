"""Counting languages (Gers & Schmidhuber 2001): S, a string, T; the target is the set of symbols that may follow.

    a^n b^n            S a...a b...b T         3 symbols: a, b and one that both starts and ends
    a^n b^n c^n        S a...a b...b c...c T   4 symbols
    a^n b^m B^m A^n    S a...a b...b B...B A...A T   5 symbols

Where the first run goes on, its own symbol and the next one are legal; later runs are determined.
"""

from collections.abc import Sequence

import numpy as np

from karussell.data.problems.sequences import Sequences, from_lengths

LANGUAGES = {"anbn": 2, "anbncn": 3, "anbmBmAn": 4}


def strings(language: str, counts: Sequence[tuple[int, ...]]) -> Sequences:
    """The strings of these counts, (n,) or (n, m); symbol 0 starts and ends, 1, 2, ... are the letters."""
    letters = LANGUAGES[language]
    rows, sets = zip(*(_string(_runs(language, c), letters, len(c)) for c in counts), strict=True)
    starts = from_lengths([len(r) for r in rows])
    symbols = np.concatenate(rows).astype(np.int32)
    return Sequences(starts, letters + 1, np.ones(len(symbols), bool), np.concatenate(sets), symbols=symbols)


def _runs(language: str, counts: tuple[int, ...]) -> list[int]:
    if language == "anbmBmAn":
        n, m = counts
        return [n, m, m, n]
    return [counts[0]] * LANGUAGES[language]


def _string(runs: list[int], letters: int, free: int) -> tuple[np.ndarray, np.ndarray]:
    """The inputs of one string, and what may follow each; the first `free` runs may be of any length from one."""
    symbols = np.concatenate([[0], *(np.full(size, k + 1) for k, size in enumerate(runs))])
    legal = np.zeros((len(symbols), letters + 1))
    legal[np.arange(len(symbols) - 1), symbols[1:]] = 1.0
    at = 1
    for k, size in enumerate(runs):
        if k < free:
            legal[at : at + size, [k + 1, k + 2]] = 1.0
        at += size
    legal[-1] = 0.0
    legal[-1, 0] = 1.0
    return symbols, legal
