"""How labels become text and words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from karussell.errors import InputError

MARKER = "▁"


@dataclass(frozen=True)
class Writing:
    """The texts of K labels, and where words begin and end among them.

    Words end at a separator, and where a label begins the next word; with neither, the labels make no words.
    """

    labels: tuple[str, ...]
    """[K] the text of each label; that of the blank is never written."""
    blank: int = 0
    """The number of the blank."""
    separators: Mapping[str, str] = field(default_factory=lambda: {" ": " "})
    """Labels that part words, and what is written for them: a space, or a sign that stays, such as a comma."""
    marker: str = MARKER
    """What a label begins with that begins a word, as SentencePiece writes it; "" for no such sign."""
    whole: bool = False
    """Whether every label is a word."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        if not self.labels or not all(isinstance(label, str) for label in self.labels):
            raise InputError(f"Writing: labels is {self.labels!r}; it must be a text a class, the blank's included.")
        if not 0 <= self.blank < len(self.labels):
            raise InputError(f"Writing: blank is {self.blank}; it must be 0 to {len(self.labels) - 1}.")
        symbols = [label for k, label in enumerate(self.labels) if k != self.blank]
        if len(set(symbols)) != len(symbols):
            twice = next(s for k, s in enumerate(symbols) if s in symbols[:k])
            raise InputError(f"Writing: the label {twice!r} is there twice; each must be a label of its own.")

    @classmethod
    def of(
        cls,
        symbols: Sequence[str],
        blank: int = 0,
        *,
        separators: Mapping[str, str] | None = None,
        marker: str = MARKER,
        whole: bool = False,
    ) -> "Writing":
        """The writing of K - 1 symbols in order, without the blank, as `greedy` and `Vocabulary` have them."""
        symbols = list(symbols)
        if not 0 <= blank <= len(symbols):
            raise InputError(
                f"Writing.of: blank is {blank}; with {len(symbols)} symbols it must be 0 to {len(symbols)}."
            )
        labels = (*symbols[:blank], "", *symbols[blank:])
        return cls(labels, blank, {" ": " "} if separators is None else separators, marker, whole)

    @cached_property
    def is_separator(self) -> tuple[bool, ...]:
        """[K] whether each label parts words."""
        return tuple(k != self.blank and label in self.separators for k, label in enumerate(self.labels))

    @cached_property
    def begins(self) -> tuple[bool, ...]:
        """[K] whether each label begins a word."""
        return tuple(
            k != self.blank and not parts and (self.whole or bool(self.marker and label.startswith(self.marker)))
            for k, (label, parts) in enumerate(zip(self.labels, self.is_separator, strict=True))
        )

    @cached_property
    def letters(self) -> tuple[str, ...]:
        """[K] what each label adds to the word it stands in; nothing for the blank and for separators."""
        found = []
        for k, label in enumerate(self.labels):
            bare = label[len(self.marker) :] if self.begins[k] and not self.whole else label
            found.append("" if k == self.blank or self.is_separator[k] else bare)
        return tuple(found)

    @property
    def has_words(self) -> bool:
        """Whether the labels make words."""
        return any(self.is_separator) or any(self.begins)

    @cached_property
    def _written(self) -> tuple[str, ...]:
        return tuple(
            self.separators[label] if parts else (" " if begins else "") + letters
            for label, parts, begins, letters in zip(
                self.labels, self.is_separator, self.begins, self.letters, strict=True
            )
        )

    def text(self, tokens: Sequence[int]) -> str:
        """The text of labels; of words, with single spaces between them."""
        written = self._written
        joined = "".join([written[token] for token in tokens])
        return " ".join(joined.split()) if self.has_words else joined

    def words(self, tokens: Sequence[int]) -> list[tuple[str, int, int]]:
        """Each word with the first of its labels and the one after its last."""
        found: list[tuple[str, int, int]] = []
        if not self.has_words:
            return found
        word, first, last = "", 0, 0
        separator, begins, letters = self.is_separator, self.begins, self.letters
        for at, token in enumerate(tokens):
            if separator[token] or begins[token]:
                if word:
                    found.append((word, first, last))
                word = ""
            if not separator[token]:
                if not word:
                    first = at
                word += letters[token]
                last = at + 1
        if word:
            found.append((word, first, last))
        return found
