"""The words a search may write, and how they are spelled."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from karussell.errors import InputError
from karussell.files import write_atomic


@dataclass(frozen=True)
class Lexicon:
    """Words, in order; `spellings` gives each its labels, or is None where words are written as they are read.

    A word may have several spellings, and a spelling several words: one entry each.
    """

    words: tuple[str, ...]
    spellings: tuple[tuple[str, ...], ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.words))
        if self.spellings is not None:
            object.__setattr__(self, "spellings", tuple(tuple(spelling) for spelling in self.spellings))
            if len(self.spellings) != len(self.words):
                raise InputError(f"Lexicon: {len(self.words)} words came with {len(self.spellings)} spellings.")
            if not all(self.spellings):
                empty = self.words[self.spellings.index(())]
                raise InputError(f"Lexicon: the word {empty!r} has an empty spelling; give it labels, or leave it out.")
        for word in self.words:
            if not isinstance(word, str) or word.split() != [word]:
                raise InputError(f"Lexicon: {word!r} is not one word; a word is not empty and has no white space.")
        if not self.words:
            raise InputError("Lexicon: there are no words; give at least one.")

    @classmethod
    def of(cls, words: Iterable[str]) -> "Lexicon":
        """Words written as they are read, each once, sorted."""
        return cls(tuple(sorted(set(words))))

    @classmethod
    def read(cls, path: str | Path) -> "Lexicon":
        """flashlight's `lexicon.txt`: a word, then its labels, parted by white space; a line a spelling.

        A file of words alone, one a line, is a lexicon without spellings.
        """
        rows = [(number, line.split()) for number, line in enumerate(_lines(path), 1) if line.strip()]
        lengths = {len(fields) > 1 for _, fields in rows}
        if len(lengths) > 1:
            number = next(number for number, fields in rows if len(fields) == 1)
            raise InputError(f"'{path}', line {number}: the word has no spelling, though others have one.")
        if lengths == {True}:
            return cls(tuple(f[0] for _, f in rows), tuple(tuple(f[1:]) for _, f in rows))
        return cls.of(fields[0] for _, fields in rows)

    def write(self, path: str | Path) -> None:
        """Write what `read` reads."""
        spelled: Sequence[tuple[str, ...]] = self.spellings or [()] * len(self.words)
        rows = (
            word + ("\t" + " ".join(labels) if labels else "") for word, labels in zip(self.words, spelled, strict=True)
        )
        write_atomic(path, "\n".join(rows) + "\n")


def read_tokens(path: str | Path) -> tuple[str, ...]:
    """flashlight's `tokens.txt`: a label a line, in order of their numbers; labels that share a line share a number."""
    found = [line.split() for line in _lines(path)]
    while found and not found[-1]:
        found.pop()
    for number, labels in enumerate(found, 1):
        if not labels:
            raise InputError(f"'{path}', line {number}: it is empty; a label stands in each line.")
    return tuple(labels[0] for labels in found)


def _lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_bytes().decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not UTF-8 ({error}); save it as UTF-8.") from error
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror or error}).") from error
