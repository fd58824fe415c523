"""What C++ found, as hypotheses."""

import ctypes
from collections.abc import Sequence

import numpy as np

from karussell.ctc.hypothesis import Hypothesis, Word
from karussell.ctc.search import native
from karussell.ctc.search.lexicon import Lexicon
from karussell.ctc.search.writing import Writing

NOTHING = Hypothesis((), "", (), (), (), -np.inf, (), -np.inf)


class Reader:
    """Reads the answers of a search."""

    def __init__(self, writing: Writing, lexicon: Lexicon | None, adjoined: bool, frame_seconds: float) -> None:
        self.writing, self.lexicon, self.adjoined, self.frame_seconds = writing, lexicon, adjoined, frame_seconds
        self._known = None if lexicon is None else frozenset(lexicon.words)

    def read(self, handle: ctypes.c_void_p, count: int, labels: int) -> list[Hypothesis]:
        """All answers, which are `count` with `labels` labels together."""
        if count == 0:
            return [NOTHING]
        scores, counts = np.empty((count, 4)), np.empty((count, 2), dtype=np.int64)
        numbers, peaks = np.empty((4, max(1, labels)), dtype=np.int32), np.empty(max(1, labels), dtype=np.float32)
        native.library().ctc_search_copy(
            handle, scores.ctypes.data, counts.ctypes.data, *(row.ctypes.data for row in numbers), peaks.ctypes.data
        )
        confidences = np.minimum(np.exp(peaks.astype(np.float64)), 1.0).tolist()
        tokens, ends = numbers[0].tolist(), numbers[1].tolist()
        starts, stops = (numbers[2:] * self.frame_seconds).tolist()
        found, at = [], 0
        for parts, (size, whole) in zip(scores.tolist(), counts.tolist(), strict=True):
            own = slice(at, at + size)
            times = (tuple(starts[own]), tuple(stops[own]), tuple(confidences[own]))
            found.append(self.hypothesis(tuple(tokens[own]), ends[own], times, parts, bool(whole)))
            at += size
        return found

    def hypothesis(
        self,
        tokens: tuple[int, ...],
        endings: Sequence[int],
        times: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]],
        scores: Sequence[float],
        whole: bool = True,
    ) -> Hypothesis:
        """One answer; `endings` has, where words are spelled by a lexicon, the word that ends with each label."""
        starts, ends, confidences = times
        if self.adjoined:
            assert self.lexicon is not None
            spans, first = [], 0
            for at, word in enumerate(endings):
                if word >= 0:
                    spans.append((self.lexicon.words[word], first, at + 1))
                    first = at + 1
            if first < len(tokens):
                spans.append(("".join(self.writing.labels[token] for token in tokens[first:]), first, len(tokens)))
            text = " ".join(word for word, _, _ in spans)
        else:
            spans, text = self.writing.words(tokens), self.writing.text(tokens)
        last = len(spans) - 1
        words = tuple(
            Word(
                word,
                starts[a],
                ends[b - 1],
                min(confidences[a:b]),
                (self._known is None or word in self._known) and (whole or k < last),
            )
            for k, (word, a, b) in enumerate(spans)
        )
        score, acoustic, language, boost = scores
        return Hypothesis(tokens, text, starts, ends, confidences, score, words, acoustic, language, boost)
