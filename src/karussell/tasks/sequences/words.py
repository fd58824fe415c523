"""Tokens to numbers: words that training has seen, their letters, and one number for all that is unknown."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from karussell.errors import InputError

# beyond the end of a sequence, and never seen in training
NOTHING, UNKNOWN = 0, 1
# letters of a word that are looked at: its beginning and its end
LETTERS = 24


@dataclass(frozen=True)
class Tokens:
    """The tokens of one column by number, counted on training data alone; whatever else comes is UNKNOWN.

    With `fold` capitals and digits make no difference to the number: 'In' is 'in', '1998' is '0000'.
    """

    known: tuple[str, ...]
    """Tokens in the order of their numbers, which begin at 2."""
    counts: tuple[int, ...]
    """How often training has seen each."""
    fold: bool = False
    """Whether capitals and digits are made alike."""

    @classmethod
    def count(cls, columns: Iterable[Sequence[str]], *, fold: bool, least: int = 1) -> "Tokens":
        """Count the tokens of training; those seen fewer than `least` times stay unknown."""
        counts = Counter(folded(token) if fold else token for column in columns for token in column)
        found = sorted((token for token, n in counts.items() if n >= least), key=lambda token: (-counts[token], token))
        return cls(tuple(found), tuple(counts[token] for token in found), fold)

    @property
    def size(self) -> int:
        """All numbers, NOTHING and UNKNOWN included."""
        return len(self.known) + 2

    def numbers(self, column: Sequence[str]) -> list[int]:
        """The numbers of tokens."""
        return [self._numbers.get(folded(token) if self.fold else token, UNKNOWN) for token in column]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {token: k + 2 for k, token in enumerate(self.known)}

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        return {"known": list(self.known), "counts": list(self.counts), "fold": self.fold}

    @classmethod
    def from_json(cls, values: dict[str, object]) -> "Tokens":
        """Read what `to_json` gave."""
        known, counts = values["known"], values["counts"]
        if not isinstance(known, list) or not isinstance(counts, list) or len(known) != len(counts):
            raise InputError("the tokens of a vocabulary and their counts must be lists of one length")
        return cls(tuple(map(str, known)), tuple(map(int, counts)), bool(values["fold"]))


def folded(token: str) -> str:
    """A token in small letters with all digits 0."""
    return re.sub(r"\d", "0", token.lower())


def spelling(token: str) -> str:
    """The letters of a token that are looked at; of a long one the first and the last."""
    half = LETTERS // 2
    return token if len(token) <= LETTERS else token[:half] + token[-half:]
