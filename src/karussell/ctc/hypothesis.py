"""What a decoder returns for one utterance."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """One transcription: labels with their times and confidences, and the score of the whole.

    `tokens`, `starts`, `ends` and `confidences` have one entry a label; `starts` and `ends` are seconds from
    the beginning of the recording, `confidences` lie in 0 … 1. `score` is a natural logarithm: what it sums
    over is the decoder's to say.
    """

    tokens: tuple[int, ...]
    text: str
    starts: tuple[float, ...]
    ends: tuple[float, ...]
    confidences: tuple[float, ...]
    score: float

    def __post_init__(self) -> None:
        sizes = {len(self.tokens), len(self.starts), len(self.ends), len(self.confidences)}
        if len(sizes) != 1:
            raise ValueError(
                f"Hypothesis: {len(self.tokens)} tokens, {len(self.starts)} starts, {len(self.ends)} ends "
                f"and {len(self.confidences)} confidences; there must be one of each a label."
            )
