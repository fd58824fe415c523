"""How well a model predicts a text."""

import math
from dataclasses import dataclass

from karussell.ctc.lm import native
from karussell.ctc.lm.files import Text, lines
from karussell.ctc.lm.model import LanguageModel
from karussell.errors import InputError


@dataclass(frozen=True)
class Perplexity:
    """Of a model on a text: exp of minus the mean ln p over words and ends of sentences."""

    sentences: int
    words: int
    """Words of the text, ends of sentences not counted."""
    unknown: int
    """Those of them that the model has not, or that are written `<unk>`."""
    log_p: float
    """Sum of ln p over all words and ends of sentences."""
    log_p_unknown: float
    """The part of it that `unknown` has."""

    @property
    def perplexity(self) -> float:
        """Over all words and ends of sentences."""
        return _exp(-self.log_p / (self.words + self.sentences))

    @property
    def without_unknown(self) -> float:
        """The same without the unknown words: what SRILM calls ppl, and KenLM "excluding OOVs"."""
        return _exp(-(self.log_p - self.log_p_unknown) / (self.words - self.unknown + self.sentences))


def perplexity(model: LanguageModel, text: Text) -> Perplexity:
    """The perplexity of a text: a file, or an iterable of sentences (str) and files (Path).

    Every line is a sentence, begins with `<s>` and ends with `</s>`, which is counted; blank lines are skipped.
    """
    sums = native.Sums()
    for piece in lines(text, "perplexity"):
        model.add_sums(piece, sums)
    if not sums.sentences:
        raise InputError("perplexity: the text has no words.")
    return Perplexity(int(sums.sentences), int(sums.words), int(sums.unknown), sums.all, sums.of_unknown)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
