"""Texts to label numbers and back; number `blank` is CTC's."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from karussell.errors import InputError


@dataclass(frozen=True)
class Vocabulary:
    """The labels of a model: characters, or words between white space, and the number of the blank.

    With n symbols there are K = n + 1 labels. The symbols take the numbers 0..n in order, the blank's left out;
    with blank = 0 symbol k has number k + 1.
    """

    symbols: tuple[str, ...]
    """The symbols in the order of their numbers."""
    blank: int = 0
    """The number of the blank, 0 to n."""
    unit: Literal["character", "word"] = "character"
    """What a symbol is."""
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbols", tuple(self.symbols))
        if not self.symbols:
            raise InputError("a vocabulary needs at least one symbol, got none")
        if len(set(self.symbols)) != len(self.symbols):
            twice = next(s for i, s in enumerate(self.symbols) if s in self.symbols[:i])
            raise InputError(f"a vocabulary holds each symbol once, got {twice!r} twice")
        if self.unit not in ("character", "word"):
            raise InputError(f"a vocabulary's unit is 'character' or 'word', got {self.unit!r}")
        for symbol in self.symbols:
            whole = len(symbol) == 1 if self.unit == "character" else symbol.split() == [symbol]
            if not whole:
                raise InputError(f"the symbol {symbol!r} is not one {self.unit}; needed one {self.unit} a symbol")
        if not 0 <= self.blank <= len(self.symbols):
            raise InputError(f"blank is {self.blank}, needed 0 to {len(self.symbols)} with {len(self.symbols)} symbols")
        numbers = {symbol: k + (k >= self.blank) for k, symbol in enumerate(self.symbols)}
        object.__setattr__(self, "_numbers", numbers)

    @classmethod
    def from_texts(
        cls, texts: Iterable[str], *, unit: Literal["character", "word"] = "character", blank: int = 0
    ) -> "Vocabulary":
        """Every symbol that occurs, sorted, so that the order of the texts does not matter."""
        found: set[str] = set()
        for text in texts:
            found.update(text if unit == "character" else text.split())
        if not found:
            raise InputError("no text holds a symbol: the transcripts are all empty; check the manifest's text column")
        return cls(tuple(sorted(found)), blank, unit)

    @property
    def size(self) -> int:
        """K, the number of labels with the blank."""
        return len(self.symbols) + 1

    def __len__(self) -> int:
        return self.size

    @property
    def labels(self) -> tuple[str, ...]:
        """The K labels by number, the empty string for the blank."""
        return (*self.symbols[: self.blank], "", *self.symbols[self.blank :])

    def encode(self, text: str, name: str | None = None) -> list[int]:
        """The label numbers of a text; InputError names the unknown symbol, and the utterance if `name` is given."""
        units = list(text) if self.unit == "character" else text.split()
        where = f" of utterance '{name}'" if name is not None else ""
        if not units:
            raise InputError(f"the text{where} is empty; needed at least one {self.unit}")
        try:
            return [self._numbers[unit] for unit in units]
        except KeyError as error:
            known = "".join(self.symbols) if self.unit == "character" else " ".join(self.symbols)
            shown = known if len(known) <= 80 else known[:80] + " ..."
            raise InputError(
                f"the text{where} holds the {self.unit} {error.args[0]!r}, which the vocabulary lacks; "
                f"normalise the text or train with a vocabulary that has it (it has: {shown})"
            ) from None

    def decode(self, ids: Sequence[int]) -> str:
        """The text of label numbers from which blanks and repeats were already taken out."""
        labels = self.labels
        for number in ids:
            if not 0 <= number < len(labels) or number == self.blank:
                raise InputError(
                    f"label {number} is no symbol; needed 0 to {len(labels) - 1} without the blank, {self.blank}"
                )
        return ("" if self.unit == "character" else " ").join(labels[number] for number in ids)

    def to_json(self) -> str:
        """The vocabulary as a JSON object."""
        content = {"unit": self.unit, "blank": self.blank, "symbols": list(self.symbols)}
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, content: str) -> "Vocabulary":
        """Read what `to_json` wrote; InputError if it is something else."""
        try:
            found = json.loads(content)
            symbols, blank, unit = found["symbols"], found["blank"], found["unit"]
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise InputError(f"not a vocabulary ({error}); needed JSON with symbols, blank and unit") from error
        if not isinstance(symbols, list) or not all(isinstance(s, str) for s in symbols) or type(blank) is not int:
            raise InputError("not a vocabulary; symbols must be a list of texts and blank a whole number")
        return cls(tuple(symbols), blank, unit)
