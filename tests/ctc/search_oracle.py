"""Exhaustive search by definition: every path, every text, scored as a whole by plain code."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from karussell.ctc.search import Weights, Writing

Key = tuple[tuple[int, ...], tuple[str, ...]]


class Scores(NamedTuple):
    acoustic: float
    language: float
    boost: float

    @property
    def score(self) -> float:
        return sum(self)


class Asked(NamedTuple):
    """Everything a decoder may be asked; the names are the decoder's."""

    writing: Writing
    words: tuple[str, ...] | None = None
    spellings: tuple[tuple[str, ...], ...] | None = None
    adjoined: bool = False
    closed: bool = False
    word_model: Any = None
    token_model: Any = None
    prefix_model: Any = None
    weights: Weights = Weights()
    hotwords: dict[str, float] | None = None
    best_path: bool = False


def masses(log_probs: np.ndarray, blank: int, best_path: bool) -> dict[tuple[int, ...], float]:
    """ln of the summed probability of every label sequence, or of its likeliest path."""
    frames, classes = log_probs.shape
    found: dict[tuple[int, ...], list[float]] = {}
    for path in itertools.product(range(classes), repeat=frames):
        labels = tuple(k for k, _ in itertools.groupby(path) if k != blank)
        found.setdefault(labels, []).append(sum(log_probs[t, k] for t, k in enumerate(path)))
    return {labels: max(s) if best_path else float(np.logaddexp.reduce(s)) for labels, s in found.items()}


def exhaustive(log_probs: np.ndarray, asked: Asked) -> dict[Key, Scores]:
    """Every text that is allowed, with its scores."""
    found = {}
    for labels, acoustic in masses(log_probs, asked.writing.blank, asked.best_path).items():
        if acoustic == -math.inf:
            continue
        for words in segmentations(labels, asked):
            found[labels, words] = Scores(acoustic, language(labels, words, asked), boost(labels, words, asked))
    return found


def segmentations(labels: tuple[int, ...], asked: Asked) -> Iterator[tuple[str, ...]]:
    if not asked.adjoined:
        words = tuple(word for word, _, _ in asked.writing.words(labels))
        if not asked.closed or all(word in (asked.words or ()) for word in words):
            yield words
        return
    if not labels:
        yield ()
    names = tuple(asked.writing.labels[k] for k in labels)
    for word, spelling in zip(asked.words or (), asked.spellings or (), strict=True):
        if names[: len(spelling)] == tuple(spelling):
            for rest in segmentations(labels[len(spelling) :], asked):
                yield (word, *rest)


def language(labels: tuple[int, ...], words: tuple[str, ...], asked: Asked) -> float:
    w, total = asked.weights, 0.0
    known = asked.words
    if known is None and asked.word_model is not None:
        known = tuple(asked.word_model.vocabulary)
    if asked.writing.has_words or asked.adjoined:
        total += w.word_bonus * len(words)
        if known is not None:
            total += sum(
                w.unknown * (max(1.0, len(word) / 6) if w.unknown < 0 else 1.0) for word in words if word not in known
            )
    if asked.word_model is not None:
        named = [word if known is None or word in known else "<unk>" for word in words]
        total += w.word * asked.word_model.scores(named, begin=w.bounds, end=w.bounds).sum()
    total += w.token_bonus * len(labels)
    if asked.token_model is not None:
        names = [asked.writing.labels[k] for k in labels]
        names = ["<space>" if name == " " else name for name in names]
        total += w.token * asked.token_model.scores(names, begin=w.bounds, end=w.bounds).sum()
    if asked.prefix_model is not None:
        for at, label in enumerate(labels):
            total += w.prefix * asked.prefix_model.scores([labels[:at]])[0][label]
        if w.bounds:
            total += w.prefix * asked.prefix_model.scores([labels])[0][asked.writing.blank]
    return float(total)


def boost(labels: tuple[int, ...], words: tuple[str, ...], asked: Asked) -> float:
    total = 0.0
    for phrase, weight in (asked.hotwords or {}).items():
        if asked.writing.has_words or asked.adjoined:
            parts = tuple(phrase.split())
            count = sum(words[at : at + len(parts)] == parts for at in range(len(words)))
        else:
            text = asked.writing.text(labels)
            count = sum(text.startswith(phrase, at) for at in range(len(text)))
        total += weight * count
    return total


def arpa(path: Path, words: list[str], seed: int, order: int = 3) -> Path:
    """A random model with back-off of some n-grams of the words."""
    rng = np.random.default_rng(seed)
    sections: list[list[tuple[str, ...]]] = [[("<unk>",), ("<s>",), ("</s>",), *((w,) for w in words)]]
    for _ in range(order - 1):
        longer = [(*g, w) for g in sections[-1] for w in [*words, "</s>"] if g[-1] not in ("</s>", "<unk>")]
        known = set(sections[-1])
        longer = [g for g in longer if g[1:] in known and rng.random() < 0.5]
        sections.append(longer)
    lines = ["\\data\\", *(f"ngram {n}={len(s)}" for n, s in enumerate(sections, 1)), ""]
    for n, section in enumerate(sections, 1):
        lines.append(f"\\{n}-grams:")
        for gram in section:
            log_p = -99.0 if gram == ("<s>",) else -float(rng.uniform(0.1, 2.0))
            back = f"\t{-float(rng.uniform(0.0, 0.7)):.4f}" if n < order and gram[-1] != "</s>" else ""
            lines.append(f"{log_p:.4f}\t{' '.join(gram)}{back}")
        lines.append("")
    path.write_text("\n".join([*lines, "\\end\\", ""]))
    return path


class Table:
    """A prefix model that is a function of the last two labels and the length."""

    def __init__(self, classes: int, seed: int) -> None:
        self.classes, self.seed = classes, seed
        self.asked: list[tuple[int, ...]] = []

    def scores(self, prefixes: Any) -> np.ndarray:
        self.asked += list(prefixes)
        rows = []
        for prefix in prefixes:
            rng = np.random.default_rng([self.seed, len(prefix), *(k + 1 for k in prefix[-2:])])
            logits = rng.normal(size=self.classes)
            rows.append(logits - np.logaddexp.reduce(logits))
        return np.array(rows)


def random_log_probs(seed: int, frames: int, classes: int, spread: float = 2.0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(frames, classes)) * spread
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
