"""What a decoder returns for one utterance."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """One word of a transcription, with its times in seconds and a confidence in 0 … 1.

    The confidence is the least of its labels'. `known` is False for a word that is not in the decoder's lexicon, and
    for one that a closed vocabulary had to leave unfinished; without a lexicon every word is known.
    """

    text: str
    start: float
    end: float
    confidence: float
    known: bool = True


@dataclass(frozen=True)
class Hypothesis:
    """One transcription: labels and words with their times and confidences, and the score of the whole.

    `tokens`, `starts`, `ends` and `confidences` have one entry a label; `starts` and `ends` are seconds from
    the beginning of the recording, `confidences` lie in 0 … 1. `words` is empty where the labels make no words.

    `score` is a natural logarithm, by which the decoder ranks: `acoustic`, what the network's frames say, plus
    `language`, the weighted language models and word bonuses, plus `boost`, the phrases that were asked for. What
    `acoustic` sums over is the decoder's to say.
    """

    tokens: tuple[int, ...]
    text: str
    starts: tuple[float, ...]
    ends: tuple[float, ...]
    confidences: tuple[float, ...]
    score: float
    words: tuple[Word, ...] = ()
    acoustic: float = 0.0
    language: float = 0.0
    boost: float = 0.0

    def __post_init__(self) -> None:
        sizes = {len(self.tokens), len(self.starts), len(self.ends), len(self.confidences)}
        if len(sizes) != 1:
            raise ValueError(
                f"Hypothesis: {len(self.tokens)} tokens, {len(self.starts)} starts, {len(self.ends)} ends "
                f"and {len(self.confidences)} confidences; there must be one of each a label."
            )
