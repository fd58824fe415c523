"""The searches of the papers: prefix search (2006) and token passing (2009)."""

import ctypes
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from karussell.ctc.hypothesis import Hypothesis
from karussell.ctc.search import native
from karussell.ctc.search.answers import NOTHING, Reader
from karussell.ctc.search.lexicon import Lexicon
from karussell.ctc.search.posteriors import as_array
from karussell.ctc.search.settings import spelled_words
from karussell.ctc.search.writing import Writing
from karussell.errors import InputError

if TYPE_CHECKING:
    from karussell.ctc.lm import LanguageModel

LIMIT = 20_000


def prefix_search(
    log_probs: Tensor | np.ndarray,
    writing: Writing,
    *,
    blank_threshold: float | None = 0.9999,
    n: int = 1,
    limit: int = LIMIT,
    frame_seconds: float = 1.0,
) -> list[Hypothesis]:
    """The n likeliest labellings of one utterance [T, K], found best first; exact, where a beam may miss them.

    Prefixes are extended in the order of p(prefix ...), the probability of all labellings that begin with them,
    until none that is left can be likelier than what was found (Graves et al., ICML 2006, section 3.2). The work can
    grow exponentially with the length, so the paper cuts the utterance where the blank's probability reaches a
    threshold (99.99 %) and solves each section alone; then n must be 1, and what is exact is each section.
    `blank_threshold` None does not cut. Each frame is normalised first, which the bounds rest on.

    The score is ln p(l | x), summed over sections; times are those of the likeliest path of l. InputError if more
    than `limit` prefixes would have to be held.
    """
    y = _one(log_probs, writing, "prefix_search")
    if n < 1 or limit < 1:
        raise InputError(f"prefix_search: n is {n} and limit {limit}; both must be at least 1.")
    if blank_threshold is None:
        cut = math.inf
    elif 0 < blank_threshold <= 1:
        cut = math.log(blank_threshold)
        if n > 1:
            raise InputError(
                f"prefix_search: n is {n}, but sections have one answer each; pass blank_threshold=None for the n best."
            )
    else:
        raise InputError(f"prefix_search: blank_threshold is {blank_threshold}; it must lie in 0 … 1, or be None.")
    frames, classes = y.shape
    count = np.zeros(1, dtype=np.int64)
    sizes, scores = np.zeros(n, dtype=np.int64), np.zeros(n)
    tokens = np.zeros((n, max(1, frames)), dtype=np.int32)
    sentence = native.library().ctc_prefix_search(
        y.ctypes.data, frames, classes, writing.blank, cut, n, limit,
        count.ctypes.data, sizes.ctypes.data, tokens.ctypes.data, scores.ctypes.data,
    )  # fmt: skip
    native.check(sentence, "prefix_search")
    flat = tokens.reshape(-1)
    reader = Reader(writing, None, False, frame_seconds)
    found = []
    for k in range(int(count[0])):
        labels = flat[k * frames : k * frames + sizes[k]]
        found.append(_placed(y, labels, [], reader, (scores[k], scores[k], 0.0, 0.0)))
    return found


def token_passing(
    log_probs: Tensor | np.ndarray,
    writing: Writing,
    lexicon: Lexicon | Sequence[str],
    *,
    bigrams: "LanguageModel | Mapping[tuple[str, str], float] | None" = None,
    weight: float = 1.0,
    word_bonus: float = 0.0,
    bounds: bool = True,
    frame_seconds: float = 1.0,
) -> Hypothesis:
    """The word string of one utterance [T, K] whose likeliest path, times its bigrams, is greatest; exact.

    CTC token passing (Graves et al., TPAMI 31(5), 2009): every word is a chain of its labels with blanks between, and
    tokens, a score and the words before, move along the chains and from the end of one word to the beginning of
    the next. Of a spelling's paths the likeliest counts, as in the paper, not their sum.

    `bigrams` is a language model, asked with one word of history, or ln p(word | before) by (before, word), where
    "<s>" stands before the text and "</s>" after it; a pair that is not there is impossible. Where `writing` has one
    separator, it stands between two words and nowhere else. The time is O(T W^2) at worst for W words, so that
    a lexicon of thousands is the most that is practical; `Decoder` takes any.
    """
    y = _one(log_probs, writing, "token_passing")
    lexicon = lexicon if isinstance(lexicon, Lexicon) else Lexicon.of(lexicon)
    separators = [k for k, parts in enumerate(writing.is_separator) if parts]
    if len(separators) > 1:
        raise InputError(f"token_passing: there are {len(separators)} separators; one, or none, stands between words.")
    spelled = spelled_words(writing, lexicon, "token_passing")
    size = len(lexicon.words)
    table, last = _bigrams(lexicon.words, bigrams, bounds)
    structure = native.Passing()
    arrays = native.Arrays(structure)
    structure.classes, structure.blank, structure.words = y.shape[1], writing.blank, size
    structure.separator = separators[0] if separators else -1
    arrays.set_rows("spell_first", "spell", spelled)
    weighted = weight * table + word_bonus
    arrays.set("bigram", weighted, np.float64)
    arrays.set("last", weight * last, np.float64)
    score, count = ctypes.c_double(), ctypes.c_int64()
    numbers = np.zeros(len(y) + 1, dtype=np.int32)
    sentence = native.library().ctc_token_passing(
        structure, y.ctypes.data, len(y), ctypes.byref(score), ctypes.byref(count), numbers.ctypes.data
    )
    native.check(sentence, "token_passing")
    if score.value == -math.inf:
        return NOTHING
    words = numbers[: count.value].tolist()
    history = [size, *words]
    language = float(sum(weighted[v, w] for v, w in zip(history, words, strict=False)) + weight * last[history[-1]])
    labels: list[int] = []
    ends: list[int] = []
    for place, word in enumerate(words):
        if place and separators:
            labels.append(separators[0])
            ends.append(-1)
        labels += spelled[word]
        ends += [-1] * (len(spelled[word]) - 1) + [word]
    adjoined = not separators
    reader = Reader(writing, lexicon, adjoined, frame_seconds)
    return _placed(y, np.array(labels, np.int32), ends, reader, (score.value, score.value - language, language, 0.0))


def _bigrams(
    words: tuple[str, ...], given: "LanguageModel | Mapping[tuple[str, str], float] | None", bounds: bool
) -> tuple[np.ndarray, np.ndarray]:
    """ln p [W + 1, W] of a word after each and at the beginning, and [W + 1] of the end."""
    size = len(words)
    table, last = np.zeros((size + 1, size)), np.zeros(size + 1)
    if given is None:
        return table, last
    if isinstance(given, Mapping):
        befores = (*words, "<s>")
        table = np.array([[given.get((before, word), -math.inf) for word in words] for before in befores])
        if bounds:
            last = np.array([given.get((before, "</s>"), -math.inf) for before in befores])
        return table, last
    numbers = [given.number(word) for word in words]
    nothing = given.nothing()
    states = [given.score(nothing, number)[1] for number in numbers]
    states.append(given.begin() if bounds else nothing)
    table = np.array([[given.score(state, number)[0] for number in numbers] for state in states])
    if bounds:
        last = np.array([given.end(state) for state in states])
    return table, last


def _one(log_probs: Tensor | np.ndarray, writing: Writing, where: str) -> np.ndarray:
    """Normalised log-probabilities [T, K] in float64."""
    values = as_array(log_probs, where)
    if values.ndim != 2 or values.shape[1] != len(writing.labels):
        raise InputError(
            f"{where}: log_probs is {list(values.shape)}; it must be [T, {len(writing.labels)}], one utterance."
        )
    y = np.array(values, dtype=np.float64, order="C")
    if np.isnan(y).any() or (y == math.inf).any():
        frame = int(np.argmax((np.isnan(y) | (y == math.inf)).any(axis=1)))
        raise InputError(f"{where}: log_probs holds NaN or infinity at frame {frame}.")
    if (y.max(axis=1, initial=-math.inf) == -math.inf).any():
        raise InputError(f"{where}: log_probs has a frame in which nothing is possible.")
    if where == "prefix_search" and len(y):
        top = y.max(axis=1, keepdims=True)
        y -= top + np.log(np.exp(y - top).sum(axis=1, keepdims=True))
    return y


def _placed(
    y: np.ndarray, labels: np.ndarray, endings: Sequence[int], reader: Reader, scores: tuple[float, ...]
) -> Hypothesis:
    """The hypothesis of labels, with the times of their likeliest path."""
    labels = np.ascontiguousarray(labels, dtype=np.int32)
    size = max(1, len(labels))
    starts, stops = np.zeros(size, dtype=np.int32), np.zeros(size, dtype=np.int32)
    peaks, score = np.zeros(size, dtype=np.float32), ctypes.c_double()
    sentence = native.library().ctc_align(
        y.ctypes.data, len(y), y.shape[1], reader.writing.blank, labels.ctypes.data, len(labels),
        ctypes.byref(score), starts.ctypes.data, stops.ctypes.data, peaks.ctypes.data,
    )  # fmt: skip
    native.check(sentence, "align")
    count = len(labels)
    times = (
        tuple((starts[:count] * reader.frame_seconds).tolist()),
        tuple((stops[:count] * reader.frame_seconds).tolist()),
        tuple(np.minimum(np.exp(peaks[:count].astype(np.float64)), 1.0).tolist()),
    )
    return reader.hypothesis(tuple(labels.tolist()), endings, times, [float(s) for s in scores])
