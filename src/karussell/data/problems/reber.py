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


def embedded(rng: np.random.Generator, count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Draw strings: the symbols of each [L], and which may follow each of them [L, 7]; nothing follows the last."""
    node, second = np.ones(count, np.int64), rng.integers(1, 3, count)
    walk: list[np.ndarray] = []
    legal: list[np.ndarray] = []
    # what has ended is drawn on, which costs nothing, and cut below
    while (node < 7).any():
        legal.append(_LEGAL[node])
        arc = rng.integers(0, 2, count)
        walk.append(np.where(node < 7, _SYMBOL[node, arc], -1))
        node = np.where(node < 7, _NEXT[node, arc], 7)
    inner, allowed = np.stack(walk, 1), np.stack(legal, 1)
    sizes = (inner >= 0).sum(1)
    single = np.eye(7, dtype=bool)
    strings, followers = [], []
    for n in range(count):
        size, outer = sizes[n], second[n]
        strings.append(np.concatenate([[0, outer, 0], inner[n, :size], [outer, 6]]).astype(np.int32))
        head = np.stack([single[1] | single[2], single[0]])
        tail = np.stack([single[outer], single[6], np.zeros(7, bool)])
        followers.append(np.concatenate([head, allowed[n, :size], tail]))
    return strings, followers


def legal_strings(
    rng: np.random.Generator, count: int, exclude: frozenset[bytes] = frozenset()
) -> list[tuple[np.ndarray, np.ndarray]]:
    """`embedded`, string by string, without those whose bytes are in `exclude`."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    while len(found) < count:
        drawn = zip(*embedded(rng, count), strict=True)
        found += [(s, f) for s, f in drawn if s.tobytes() not in exclude]
    return found[:count]


def sets(rng: np.random.Generator, count: int = 256) -> tuple[Sequences, np.ndarray, Sequences, np.ndarray]:
    """A training and a test set without a common string, and which symbols may follow each step of either [S, 7].

    The target of every step is the symbol that did follow, one-hot.
    """
    train = legal_strings(rng, count)
    test = legal_strings(rng, count, frozenset(s.tobytes() for s, _ in train))
    return (*_predicted(train), *_predicted(test))


def _predicted(drawn: list[tuple[np.ndarray, np.ndarray]]) -> tuple[Sequences, np.ndarray]:
    starts = from_lengths([len(s) - 1 for s, _ in drawn])
    symbols = np.concatenate([s[:-1] for s, _ in drawn])
    following = np.concatenate([s[1:] for s, _ in drawn])
    legal = np.concatenate([f[:-1] for _, f in drawn])
    return Sequences(starts, 7, np.ones(len(symbols), bool), one_hot(following, 7), symbols=symbols), legal


def continual(rng: np.random.Generator, strings: int) -> Sequences:
    """Draw a stream of strings without a mark where one ends; the target is the set of symbols that may follow.

    `starts` tells the strings apart, for a learner that is reset from outside. After E comes B.
    """
    drawn = list(zip(*embedded(rng, strings), strict=True))
    symbols = np.concatenate([s for s, _ in drawn])
    legal = np.concatenate([f for _, f in drawn]).astype(float)
    starts = from_lengths([len(s) for s, _ in drawn])
    legal[starts[1:] - 1, 0] = 1.0
    return Sequences(starts, 7, np.ones(len(symbols), bool), legal, symbols=symbols)
