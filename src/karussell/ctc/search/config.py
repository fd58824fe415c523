"""How wide a search looks, and what it weighs."""

import math
from dataclasses import dataclass, fields

from karussell.errors import InputError


@dataclass(frozen=True)
class Beam:
    """How much is kept and tried. What can be left out without changing the answer is left out anyway."""

    width: int = 100
    """Prefixes kept a frame; 0: all, which grows without bound."""
    drop: float = math.inf
    """Prefixes so far below the best are dropped, in natural logarithms."""
    token_floor: float = -math.inf
    """Labels less likely than this in a frame begin nothing there, but for the likeliest of the frame."""
    top_tokens: int = 0
    """Only so many of a frame's likeliest labels begin something; 0: all."""
    recombine: bool = False
    """Of prefixes that no model, lexicon or phrase will ever tell apart, keep the better. Wins room for others in the
    search of one text; the n best lose their likes. Without effect where there is a prefix model."""
    best_path: bool = False
    """Rank by the likeliest path of a text, not by the sum of all its paths."""

    def __post_init__(self) -> None:
        if self.width < 0 or self.top_tokens < 0 or not self.drop >= 0 or math.isnan(self.token_floor):
            raise InputError(f"{self}: width, drop and top_tokens must not be negative, and all must be numbers.")


@dataclass(frozen=True)
class Weights:
    """What the parts of a score count, in natural logarithms."""

    word: float = 0.5
    """Of the word model's log-probabilities (often called alpha)."""
    word_bonus: float = 0.0
    """A word (often called beta)."""
    unknown: float = -10.0
    """A word that is not in the lexicon, in an open vocabulary; if negative, one of more than six letters costs a sixth
    of it for each, as otherwise a whole text would be cheapest as one of them."""
    token: float = 0.5
    """Of the label model's log-probabilities."""
    token_bonus: float = 0.0
    """A label."""
    prefix: float = 0.5
    """Of the prefix model's log-probabilities."""
    look_ahead: bool = True
    """Whether a word being written is credited with the likeliest word it may become; takes nothing from the final
    score, but keeps better prefixes in a narrow beam."""
    bounds: bool = True
    """Whether the text begins as sentences do, and its end is scored."""

    def __post_init__(self) -> None:
        for item in fields(self):
            if not math.isfinite(getattr(self, item.name)):
                raise InputError(f"Weights: {item.name} is {getattr(self, item.name)}; it must be finite.")
