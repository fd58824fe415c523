"""Transcripts as people write them, made uniform before a vocabulary is counted."""

import unicodedata
from dataclasses import dataclass
from typing import Literal

APOSTROPHES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u02bc": "'"})


@dataclass(frozen=True)
class Normaliser:
    """A rule for texts, kept with the model: Unicode form, case, punctuation; runs of white space become one space."""

    form: Literal["NFC", "NFD", "NFKC", "NFKD"] = "NFC"
    """Unicode normalisation form."""
    case: Literal["keep", "lower", "upper"] = "keep"
    """What happens to capitals."""
    punctuation: Literal["keep", "remove"] = "keep"
    """'remove' drops punctuation, but apostrophes and hyphens inside a word stay."""

    def __post_init__(self) -> None:
        for name, allowed in (
            ("form", ("NFC", "NFD", "NFKC", "NFKD")),
            ("case", ("keep", "lower", "upper")),
            ("punctuation", ("keep", "remove")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"Normaliser: {name} is {getattr(self, name)!r}, needed one of {', '.join(allowed)}")

    def __call__(self, text: str) -> str:
        """Normalise one text; twice is the same as once."""
        text = unicodedata.normalize(self.form, text)
        if self.case == "lower":
            text = text.lower()
        elif self.case == "upper":
            text = text.upper()
        # a change of case can leave a sequence that the form composes
        text = unicodedata.normalize(self.form, text)
        if self.punctuation == "remove":
            text = text.translate(APOSTROPHES)
            text = "".join(_kept(text, i) for i in range(len(text)))
        return " ".join(text.split())


def normalise(
    text: str,
    *,
    form: Literal["NFC", "NFD", "NFKC", "NFKD"] = "NFC",
    case: Literal["keep", "lower", "upper"] = "keep",
    punctuation: Literal["keep", "remove"] = "keep",
) -> str:
    """Normalise one text once; `Normaliser` is the same rule as a value."""
    return Normaliser(form, case, punctuation)(text)


def _kept(text: str, i: int) -> str:
    character = text[i]
    if not unicodedata.category(character).startswith("P"):
        return character
    inside = 0 < i < len(text) - 1 and text[i - 1].isalnum() and text[i + 1].isalnum()
    if character in "'-" and inside:
        return character
    return " " if inside else ""
