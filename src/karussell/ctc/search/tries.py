"""Tries of words and of phrases, as plain arrays that compiled code walks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from karussell.errors import InputError


@dataclass(frozen=True)
class Trie:
    """A tree of sequences of numbers, breadth first; native/search_settings.h says how it is read.

    Its places are `nodes` [W], the node at which each sequence ends.
    """

    first: np.ndarray
    symbol: np.ndarray
    parent: np.ndarray
    nodes: np.ndarray

    @property
    def size(self) -> int:
        """N, the number of nodes."""
        return len(self.first) - 1


def build(sequences: Sequence[Sequence[int]]) -> Trie:
    """The trie of non-empty sequences of positive or zero numbers."""
    count, longest = len(sequences), max((len(s) for s in sequences), default=0)
    padded = np.full((count, longest), -1, dtype=np.int64)
    lengths = np.array([len(s) for s in sequences], dtype=np.int64)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    order = np.lexsort(padded.T[::-1]) if count and longest else np.arange(count)
    padded, lengths = padded[order], lengths[order]
    at = np.zeros(count, dtype=np.int64)
    parents, symbols, size = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 1
    for depth in range(longest):
        alive = np.flatnonzero(lengths > depth)
        above, symbol = at[alive], padded[alive, depth]
        fresh = np.ones(len(alive), dtype=bool)
        fresh[1:] = (above[1:] != above[:-1]) | (symbol[1:] != symbol[:-1])
        at[alive] = size - 1 + np.cumsum(fresh)
        parents.append(above[fresh])
        symbols.append(symbol[fresh])
        size += int(fresh.sum())
    parent = np.concatenate(parents)
    first = np.zeros(size + 1, dtype=np.int32)
    np.cumsum(np.bincount(parent, minlength=size), out=first[1:])
    nodes = np.empty(count, dtype=np.int64)
    nodes[order] = at
    return Trie(first, np.concatenate(symbols).astype(np.int32), np.concatenate([[-1], parent]), nodes)


def endings(trie: Trie) -> tuple[np.ndarray, np.ndarray]:
    """The sequences that end at each node: `ending[ending_first[n]:ending_first[n + 1]]`."""
    first = np.zeros(trie.size + 1, dtype=np.int32)
    np.cumsum(np.bincount(trie.nodes, minlength=trie.size), out=first[1:])
    return first, np.argsort(trie.nodes, kind="stable").astype(np.int32)


def best_below(trie: Trie, values: np.ndarray) -> np.ndarray:
    """[N] the greatest value of the sequences that go through each node."""
    best = np.full(trie.size, -np.inf)
    np.maximum.at(best, trie.nodes, values)
    # breadth first: children have greater numbers than their parents
    for node in range(trie.size - 1, 0, -1):
        above = trie.parent[node]
        if best[node] > best[above]:
            best[above] = best[node]
    return best


@dataclass(frozen=True)
class Phrases:
    """Many phrases heard at once (Aho and Corasick 1975), each with a weight.

    Every occurrence of a phrase counts its weight, also within another phrase. While a phrase is being written,
    `hope` credits it with the share of its weight that its letters have reached; what does not come is withdrawn.
    """

    trie: Trie
    fail: np.ndarray
    gain: np.ndarray
    hope: np.ndarray
    reach: float
    """The most that one letter gains."""


def phrases(weights: Mapping[tuple[int, ...], float]) -> Phrases:
    """The automaton of phrases given as numbers."""
    if not all(np.isfinite(weight) for weight in weights.values()):
        raise InputError("hotwords: a weight is not finite; each phrase needs a number, in natural logarithms.")
    spelled = sorted(weights)
    trie = build(spelled)
    gain, hope = np.zeros(trie.size), np.zeros(trie.size)
    for phrase, node in zip(spelled, trie.nodes, strict=True):
        weight, length, at = weights[phrase], len(phrase), int(node)
        gain[at] += weight
        for letters in range(length - 1, 0, -1):
            at = int(trie.parent[at])
            hope[at] = max(hope[at], weight * letters / length)
    fail = np.zeros(trie.size, dtype=np.int32)
    children = [{int(trie.symbol[e]): e + 1 for e in range(trie.first[n], trie.first[n + 1])} for n in range(trie.size)]
    for node in range(1, trie.size):
        above = int(trie.parent[node])
        if above == 0:
            continue
        symbol, at = int(trie.symbol[node - 1]), int(fail[above])
        while at and symbol not in children[at]:
            at = int(fail[at])
        fail[node] = children[at].get(symbol, 0)
        gain[node] += gain[fail[node]]
        hope[node] = max(hope[node], hope[fail[node]])
    steps = gain[1:] + hope[1:] - hope[trie.parent[1:]]
    # a letter may also lead back to a shorter phrase, which gains no more than its own edge does
    return Phrases(trie, fail, gain, hope, float(max(0.0, steps.max(initial=0.0))))
