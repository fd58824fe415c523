"""Label and word error rates, with an interval that says how far to trust them.

The edit distance (Levenshtein) is rapidfuzz's. What is added: labels of any kind, the pairs an alignment
consists of, and a bootstrap over utterances.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from karussell.errors import InputError, require

Pair = tuple[Hashable | None, Hashable | None]


@dataclass(frozen=True)
class ErrorRate:
    """The share of wrong labels, (substitutions + deletions + insertions) / references, with its interval.

    `references` counts the reference labels; `low` and `high` bound the rate with the chosen confidence. The
    rate can exceed 1, since nothing bounds the insertions.
    """

    rate: float
    substitutions: int
    deletions: int
    insertions: int
    references: int
    low: float
    high: float


def label_error_rate(
    references: Sequence[Sequence[Hashable]],
    hypotheses: Sequence[Sequence[Hashable]],
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> ErrorRate:
    """Compute edits over reference labels, summed over all utterances, with a bootstrap interval.

    An utterance is a sequence of labels: a tuple of integers, a string of characters, a list of words. One
    reference may be empty, not all of them.

    The interval is the percentile bootstrap (Bisani and Ney, ICASSP 2004): utterances are drawn with
    replacement `resamples` times, so that errors within one utterance stay together. It knows nothing of
    speakers: utterances of few speakers are less independent than it assumes. Without any error it collapses
    to [0, 0]; the rule of three then says that up to 3 / N of the utterances may still go wrong.
    """
    if len(references) != len(hypotheses):
        raise InputError(f"label_error_rate: {len(references)} references came with {len(hypotheses)} hypotheses.")
    if not 0 < confidence < 1 or resamples < 1:
        raise InputError(
            f"label_error_rate: confidence is {confidence} and resamples {resamples}; the first must lie "
            "between 0 and 1, the second must be at least 1."
        )
    counts = np.zeros((len(references), 4), dtype=np.int64)
    for row, reference, hypothesis in zip(counts, references, hypotheses, strict=True):
        tags = Counter(tag for tag, _, _ in _edit_operations(reference, hypothesis))
        row[:] = tags["replace"], tags["delete"], tags["insert"], len(reference)
    substitutions, deletions, insertions, total = (int(n) for n in counts.sum(0))
    if total == 0:
        raise InputError("label_error_rate: there is no reference label, so that no error rate exists.")
    low, high = _bootstrap(counts[:, :3].sum(1), counts[:, 3], resamples, confidence, seed)
    rate = (substitutions + deletions + insertions) / total
    return ErrorRate(rate, substitutions, deletions, insertions, total, low, high)


def word_error_rate(
    references: Sequence[str],
    hypotheses: Sequence[str],
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> ErrorRate:
    """Compute `label_error_rate` over words, parted by white space; case and punctuation count as written."""
    return label_error_rate(
        [text.split() for text in references],
        [text.split() for text in hypotheses],
        resamples=resamples,
        confidence=confidence,
        seed=seed,
    )


def align(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> tuple[Pair, ...]:
    """Pair the labels of one utterance along a cheapest alignment.

    (r, h) is a match or a substitution, (r, None) a deletion, (None, h) an insertion.
    """
    pairs: list[Pair] = []
    at = 0
    for tag, r, h in _edit_operations(reference, hypothesis):
        gap = r - at
        pairs += zip(reference[at:r], hypothesis[h - gap : h], strict=True)
        at = r
        if tag == "insert":
            pairs.append((None, hypothesis[h]))
        else:
            pairs.append((reference[r], hypothesis[h] if tag == "replace" else None))
            at += 1
    rest = len(reference) - at
    pairs += zip(reference[at:], hypothesis[len(hypothesis) - rest :], strict=True)
    return tuple(pairs)


def confusions(references: Iterable[Sequence[Hashable]], hypotheses: Iterable[Sequence[Hashable]]) -> dict[Pair, int]:
    """Count the pairs of `align` over all utterances, the correct ones included."""
    counts: Counter[Pair] = Counter()
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        counts.update(align(reference, hypothesis))
    return dict(counts)


def _edit_operations(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> list[tuple[str, int, int]]:
    levenshtein = require("rapidfuzz.distance", extra="audio").Levenshtein
    # numbered first: rapidfuzz compares hashes, under which -1 is -2, and takes a one-letter string for its
    # code point
    numbers: dict[Hashable, int] = {}
    r = [numbers.setdefault(label, len(numbers)) for label in reference]
    h = [numbers.setdefault(label, len(numbers)) for label in hypothesis]
    return [(tag, at, to) for tag, at, to in levenshtein.editops(r, h)]


def _bootstrap(
    errors: np.ndarray, references: np.ndarray, resamples: int, confidence: float, seed: int
) -> tuple[float, float]:
    generator = np.random.default_rng(seed)
    n = len(errors)
    rates = []
    for _ in range(resamples):
        drawn = generator.integers(n, size=n)
        total = references[drawn].sum()
        # possible only where many references are empty
        if total:
            rates.append(errors[drawn].sum() / total)
    tail = (1 - confidence) / 2
    low, high = np.quantile(rates, [tail, 1 - tail]) if rates else (np.nan, np.nan)
    return float(low), float(high)
