"""An n-gram model from a text."""

import ctypes
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from karussell.ctc.lm import native
from karussell.ctc.lm.files import Text, texts
from karussell.ctc.lm.model import MEMORY, LanguageModel
from karussell.errors import InputError

LEAST_MEMORY = 1 << 16


class Trained(NamedTuple):
    """A model and what it was made of."""

    model: LanguageModel
    sentences: int
    words: int
    """Words of the text, ends of sentences not counted."""
    discounts: tuple[tuple[float, float, float], ...]
    """For each order, what is taken from n-grams that were counted once, twice, three times and more."""


def train(
    text: Text,
    order: int = 3,
    *,
    prune: Sequence[int] = (0,),
    vocabulary: Iterable[str] | None = None,
    closed: bool = False,
    discount_fallback: tuple[float, float, float] | None = None,
    memory: int = MEMORY,
    scratch: str | Path | None = None,
) -> Trained:
    """Estimate an n-gram model with interpolated modified Kneser-Ney smoothing.

        p(w | h) = max(c(h w) - D(c(h w)), 0) / c(h ·) + gamma(h) p(w | h without its first word)

    c is the number of occurrences for the highest order and for n-grams that begin a sentence, else the number of
    different words before; D(1), D(2), D(3+) = k - (k + 1) n1 / (n1 + 2 n2) n(k+1) / n(k) from the numbers n(k) of
    n-grams with c = k; gamma makes the sum 1; below the unigrams stands 1 / number of words. This is the estimate of
    Chen & Goodman, "An empirical study of smoothing techniques for language modeling" (1998), as KenLM's lmplz makes it
    (Heafield et al. 2013).

    text               a file, or an iterable of sentences (str) and files (Path); UTF-8, plain or gzip, one sentence a
                       line, words divided by ASCII spaces; blank lines are skipped. `<unk>` in it counts as a word
    order              1 … 12
    prune              n-grams that occur so often or less are dropped, one number an order, the last for all that
                       follow: (0, 0, 1) drops trigrams, 4-grams … seen once. The first must be 0, and none may fall
    vocabulary         the words of the model; others in the text become `<unk>`. Default: all words of the text
    closed             there are no words but these: `<unk>` gets a probability only if the text has it, and a word
                       outside `vocabulary` is an error
    discount_fallback  D(1), D(2), D(3+) for orders whose own cannot be estimated, which otherwise is an error: a text
                       that is small, or of letters, has too few n-grams seen once, twice or three times
    memory             bytes used for sorting, about; more is sorted through files in `scratch` (the system's folder for
                       temporary files), which need about 40 bytes an n-gram for each order
    """
    options = _options(order, prune, closed, discount_fallback, memory)
    library, folder = native.library(), Path(scratch or tempfile.gettempdir())
    trainer, report = ctypes.c_void_p(), native.Report()
    native.check(library.ngram_trainer_new(options, str(folder).encode(), ctypes.byref(trainer)), "train")
    try:
        for word in vocabulary or ():
            known = word.encode("utf-8", "surrogatepass")
            if not known or known.split() != [known]:
                raise InputError(f"train: vocabulary has {word!r}, which is no word: it is empty or has a space in it.")
            native.check(library.ngram_trainer_word(trainer, known, len(known)), "train: vocabulary")
        for piece in texts(text, "train"):
            native.check(library.ngram_trainer_feed(trainer, piece, len(piece)), "train")
        with tempfile.TemporaryFile(dir=folder) as file:
            native.check(library.ngram_trainer_write(trainer, file.fileno(), report), "train")
            model = LanguageModel(file, "trained")
    finally:
        library.ngram_trainer_free(trainer)
    discounts = tuple((d[0], d[1], d[2]) for d in report.discounts[:order])
    return Trained(model, int(report.sentences), int(report.tokens), discounts)


def _options(
    order: int, prune: Sequence[int], closed: bool, fallback: tuple[float, float, float] | None, memory: int
) -> native.Options:
    if not 1 <= order <= native.MOST_ORDER:
        raise InputError(f"train: order is {order}; it must lie in 1 … {native.MOST_ORDER}.")
    thresholds = list(prune)
    if not thresholds or len(thresholds) > order or thresholds[0] != 0 or thresholds != sorted(thresholds):
        raise InputError(
            f"train: prune is {thresholds}; it needs 1 to {order} numbers for order {order}, the first 0 (every word "
            "is kept), and none smaller than the one before."
        )
    if fallback is not None and not (len(fallback) == 3 and all(0 < d <= k for k, d in enumerate(fallback, 1))):
        raise InputError(
            f"train: discount_fallback is {fallback}; it must be three numbers, above 0 and at most 1, 2 and 3."
        )
    if memory < LEAST_MEMORY:
        raise InputError(f"train: memory is {memory} bytes; it must be at least {LEAST_MEMORY}.")
    thresholds += [thresholds[-1]] * (order - len(thresholds))
    filled = [min(t, 2**62) for t in thresholds] + [0] * (native.MOST_ORDER - order)
    return native.Options(
        order, memory, closed, fallback is not None,
        (ctypes.c_int64 * native.MOST_ORDER)(*filled), (ctypes.c_double * 3)(*(fallback or (0, 0, 0))),
    )  # fmt: skip
