"""The embedded Reber grammar (Hochreiter & Schmidhuber 1997, experiment 1), and its endless stream (Gers et al. 2000).

A string is B, then T or P, an inner string, the same T or P again, and E; the inner string walks from B to E through a
graph of six nodes, each leaving by one of two arcs of probability 1/2. The one hard symbol is the last but one.
"""

import numpy as np

from karussell.data.problems.sequences import Sequences, from_lengths, one_hot

SYMBOLS = "BTPSXVE"
# node: the two arcs that leave it, each a symbol and the next node; the inner walk ends at node 7
_ARCS = {
    1: (("T", 2), ("P", 3)),
    2: (("S", 2), ("X", 4)),
    3: (("T", 3), ("V", 5)),
    4: (("X", 3), ("S", 6)),
    5: (("P", 4), ("V", 6)),
    6: (("E", 7), ("E", 7)),
}
_SYMBOL = np.zeros((8, 2), np.int64)
_NEXT = np.zeros((8, 2), np.int64)
_LEGAL = np.zeros((8, 7), bool)
for _node, _pair in _ARCS.items():
    for _k, (_letter, _target) in enumerate(_pair):
        _SYMBOL[_node, _k], _NEXT[_node, _k] = SYMBOLS.index(_letter), _target
        _LEGAL[_node, SYMBOLS.index(_letter)] = True


def drawn(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw strings side by side: symbols [count, L], -1 beyond the end of each; what may follow [count, L, 7]; lengths.

    Nothing follows the last symbol of a string.
    """
    node, second = np.ones(count, np.int64), rng.integers(1, 3, count)
    walk: list[np.ndarray] = []
    legal: list[np.ndarray] = []
    while (node < 7).any():
        legal.append(_LEGAL[node])
        arc = rng.integers(0, 2, count)
        walk.append(np.where(node < 7, _SYMBOL[node, arc], -1))
        node = np.where(node < 7, _NEXT[node, arc], 7)
    symbols = np.full((count, len(walk) + 5), -1, np.int32)
    followers = np.zeros((count, len(walk) + 5, 7), bool)
    symbols[:, 0], symbols[:, 1], symbols[:, 2] = 0, second, 0
    followers[:, 0, 1:3] = True
    followers[:, 1, 0] = True
    # what follows the inner B, and each symbol of the walk, is what may leave the node it leads to
    symbols[:, 3:-2] = np.stack(walk, 1)
    followers[:, 2:-3] = np.stack(legal, 1)
    rows, sizes = np.arange(count), (symbols >= 0).sum(1)
    symbols[rows, sizes], symbols[rows, sizes + 1] = second, 6
    followers[rows, sizes - 1, second] = True
    followers[rows, sizes, 6] = True
    return symbols, followers, sizes + 2


def legal_strings(
    rng: np.random.Generator, count: int, exclude: frozenset[bytes] = frozenset()
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Strings one by one, symbols and what may follow each, without those whose bytes are in `exclude`."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    while len(found) < count:
        pairs = ((s[:n], f[:n]) for s, f, n in zip(*drawn(rng, count), strict=True))
        found += [(s, f) for s, f in pairs if s.tobytes() not in exclude]
    return found[:count]


def sets(rng: np.random.Generator, count: int = 256) -> tuple[Sequences, np.ndarray, Sequences, np.ndarray]:
    """A training and a test set without a common string, and which symbols may follow each step of either [S, 7].

    The target of every step is the symbol that did follow, one-hot.
    """
    train = legal_strings(rng, count)
    test = legal_strings(rng, count, frozenset(s.tobytes() for s, _ in train))
    return (*_predicted(train), *_predicted(test))


def _predicted(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[Sequences, np.ndarray]:
    starts = from_lengths([len(s) - 1 for s, _ in pairs])
    symbols = np.concatenate([s[:-1] for s, _ in pairs])
    following = np.concatenate([s[1:] for s, _ in pairs])
    legal = np.concatenate([f[:-1] for _, f in pairs])
    return Sequences(starts, 7, np.ones(len(symbols), bool), one_hot(following, 7), symbols=symbols), legal


def continual(rng: np.random.Generator, strings: int) -> Sequences:
    """Draw a stream of strings without a mark where one ends; the target is the set of symbols that may follow.

    `starts` tells the strings apart, for a learner that is reset from outside. After E comes B.
    """
    side, followers, lengths = drawn(rng, strings)
    there = side >= 0
    symbols, legal = side[there], followers[there].astype(float)
    starts = from_lengths(lengths)
    legal[starts[1:] - 1, 0] = 1.0
    return Sequences(starts, 7, np.ones(len(symbols), bool), legal, symbols=symbols)
