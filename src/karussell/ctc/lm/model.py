"""One language model in memory, whatever file it came from."""

import ctypes
import gzip
import mmap
import tempfile
import weakref
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np

from karussell.ctc.lm import native
from karussell.ctc.lm.files import GZIP, PIECE, beginning, pieces, written_whole
from karussell.errors import InputError

MAGIC = b"KRLNGRAM"
KENLM = b"mmap lm http://kheafield.com/code"
MEMORY = 1 << 30
SUFFIXES = (".ngram", ".arpa", ".arpa.gz")


class LanguageModel:
    """An n-gram model with back-off: the probability of a word after the words before it.

    Made by `LanguageModel.load` or `karussell.ctc.lm.train`. The model is a file in memory (mapped, so that it is
    shared between processes and read as needed) and is checked once, when it is opened: its checksum, and every number
    that could lead astray. The file must not be changed while it is in use.

    Scores are natural logarithms. A word that the model has not is `<unk>`. A state is what the model remembers:
    `bytes`, equal where everything that may follow scores alike.

        model = LanguageModel.load("english.arpa.gz")
        state = model.begin()
        log_p, state = model.score(state, "hello")
        log_p += model.end(state)
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        """The model in an open file of our own form or KenLM's probing type; InputError says what is wrong with it."""
        library = native.library()
        try:
            self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise InputError(f"'{name}' cannot be used as a language model: it is empty.") from error
        self._bytes = np.frombuffer(self._mapped, np.uint8)
        self.name = name
        """What it was read from, for messages."""
        handle = ctypes.c_void_p()
        code = library.ngram_open(self.address, self.nbytes, 1, ctypes.byref(handle))
        native.check(code, f"'{name}' cannot be used as a language model")
        self._handle, self._library = handle, library
        weakref.finalize(self, library.ngram_close, handle)
        self._facts = native.Facts()
        library.ngram_facts(handle, self._facts)

    @classmethod
    def load(cls, path: str | Path, *, memory: int = MEMORY, scratch: str | Path | None = None) -> "LanguageModel":
        """Read a model: our own form, ARPA, ARPA packed by gzip, or a binary of KenLM's probing type.

        What a file is, its first bytes say, not its name. An ARPA file is turned into our form in a file without a
        name in the folder `scratch` (the system's by default), with about `memory` bytes beside it; turn it once with
        `save`, and it opens at once. KenLM's other binary types are refused by name.
        """
        path = Path(path)
        first = beginning(path)
        if first.startswith((MAGIC, KENLM)):
            with open(path, "rb") as file:
                return cls(file, str(path))
        return _from_arpa(path, packed=first.startswith(GZIP), memory=memory, scratch=scratch)

    @property
    def address(self) -> int:
        """Where it lies in memory; with `nbytes`, what compiled code opens it by (`ctc/native/ngram.h`)."""
        return int(self._bytes.ctypes.data)

    @property
    def nbytes(self) -> int:
        """Its size."""
        return self._bytes.size

    @property
    def order(self) -> int:
        """The longest n-gram."""
        return int(self._facts.order)

    @property
    def counts(self) -> tuple[int, ...]:
        """N-grams of each order, from 1; empty for KenLM's form, which has them only as hashes."""
        return () if self._facts.probing else tuple(self._facts.counts[: self.order])

    @property
    def has_unknown(self) -> bool:
        """Whether `<unk>` has a probability of its own; without one it scores log10 p = -100."""
        return bool(self._facts.unknown)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """All words by number: `<unk>` is 0, `<s>` and `</s>` are among the others."""
        if not self._facts.has_text:
            raise InputError(f"'{self.name}' was written by KenLM without its words; build it anew with them.")
        offsets, size = ctypes.c_void_p(), ctypes.c_uint64()
        text = ctypes.string_at(self._library.ngram_text(self._handle, offsets, size), size.value)
        if self._facts.probing:
            return tuple(word.decode() for word in text.split(b"\0")[:-1])
        ends = (ctypes.c_uint32 * (self._facts.words + 1)).from_address(offsets.value or 0)
        return tuple(text[a:b].decode() for a, b in pairwise(ends))

    def __len__(self) -> int:
        """The number of words, with `<unk>`, `<s>` and `</s>`."""
        return int(self._facts.words)

    def __contains__(self, word: object) -> bool:
        """Whether the model has a word."""
        return isinstance(word, str) and (word == "<unk>" or self.number(word) != 0)

    def __repr__(self) -> str:
        return f"LanguageModel('{self.name}', order {self.order}, {len(self):,} words)"

    def number(self, word: str) -> int:
        """The number of a word; 0 if the model has it not."""
        text = word.encode("utf-8", "surrogatepass")
        return int(self._library.ngram_find(self._handle, text, len(text)))

    def begin(self) -> bytes:
        """The state at the beginning of a sentence, after `<s>`."""
        state = native.State()
        self._library.ngram_begin(self._handle, state)
        return bytes(state)

    def nothing(self) -> bytes:
        """The state that remembers nothing."""
        return bytes(native.State())

    def score(self, state: bytes, word: str | int) -> tuple[float, bytes]:
        """ln p(word | state), and the state after the word, which is given as text or as its number."""
        number = self.number(word) if isinstance(word, str) else word
        if not 0 <= number < len(self):
            raise InputError(f"LanguageModel.score: the word is number {number}; it must lie in 0 … {len(self) - 1}.")
        now = self._state(state)
        return float(self._library.ngram_score(self._handle, now, number, now)), bytes(now)

    def end(self, state: bytes) -> float:
        """ln p(</s> | state)."""
        return self.score(state, int(self._facts.end))[0]

    def scores(self, words: Sequence[str], *, begin: bool = True, end: bool = True) -> np.ndarray:
        """ln p of each word of a sentence after those before it, float64 [words], and of its end if `end`.

        `begin`: the sentence begins with the first word; otherwise nothing is known of what was before.
        """
        numbers = np.array([self.number(word) for word in words] + [self._facts.end] * end, dtype=np.uint32)
        found = np.empty(len(numbers))
        state = self._state(self.begin() if begin else self.nothing())
        self._library.ngram_scores(self._handle, state, numbers.ctypes.data, len(numbers), found.ctypes.data)
        return found

    def add_sums(self, text: bytes, sums: native.Sums) -> None:
        """Score whole lines of UTF-8, each a sentence, and add to `sums`: what `perplexity` is made of."""
        self._library.ngram_sums(self._handle, text, len(text), sums)

    def worst_sum(self) -> float:
        """The greatest |1 - sum over all words of p(word | h)| of all contexts h of the model.

        Zero but for rounding, in a model that was made well. NaN for KenLM's form, whose contexts cannot be listed.
        """
        return float(self._library.ngram_worst_sum(self._handle))

    def save(self, path: str | Path) -> None:
        """Write the model: `.ngram` is our own form, `.arpa` and `.arpa.gz` what other tools read.

        The file appears whole or not at all. A model in KenLM's form can only be copied by the system.
        """
        path = self.check_name(path)
        if self._facts.probing:
            raise InputError(
                f"'{self.name}' holds hashes of its n-grams, not their words, as all of KenLM's probing files do; "
                "convert the ARPA file it was built from."
            )
        with written_whole(path) as file:
            if path.suffix == ".ngram":
                for at in range(0, self.nbytes, PIECE):
                    file.write(self._mapped[at : at + PIECE])
            elif path.suffix == ".arpa":
                self._write_arpa(file)
            else:
                # no time and no name inside, so that equal models are equal files
                with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as packed:
                    self._write_arpa(packed)

    @staticmethod
    def check_name(path: str | Path) -> Path:
        """The path of a file that `save` can write; InputError if its name says no form or its folder is not there."""
        path = Path(path)
        if not path.name.endswith(SUFFIXES):
            raise InputError(f"'{path}' has no name for a language model; it must end in {', '.join(SUFFIXES)}.")
        if not path.parent.is_dir():
            raise InputError(f"'{path}' cannot be written: there is no folder '{path.parent}'; make it first.")
        return path

    def _write_arpa(self, file: IO[bytes] | gzip.GzipFile) -> None:
        writer, text, size = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint64()
        native.check(self._library.ngram_writer_new(self._handle, ctypes.byref(writer)), self.name)
        try:
            while True:
                native.check(self._library.ngram_writer_next(writer, ctypes.byref(text), size), self.name)
                if not size.value:
                    return
                file.write(ctypes.string_at(text.value or 0, size.value))
        finally:
            self._library.ngram_writer_free(writer)

    def _state(self, state: bytes) -> native.State:
        """What a person gave back to us, looked at: a state of another model could lead astray."""
        if len(state) != ctypes.sizeof(native.State):
            raise InputError(f"a state of a language model has 32 bytes, not {len(state)}; give one that it gave.")
        made = native.State.from_buffer_copy(state)
        most = self.order - 1 if self._facts.probing else min(1, self.order - 1)
        bound = len(self) if self._facts.probing else sum(self.counts[:-1])
        if made.length > most or any(word >= bound for word in made.words[: made.length]):
            raise InputError("this state is of another language model; give one that this model gave.")
        return made


def _from_arpa(path: Path, *, packed: bool, memory: int, scratch: str | Path | None) -> LanguageModel:
    library = native.library()
    folder = Path(scratch or tempfile.gettempdir())
    where, reader = f"'{path}' cannot be read as an ARPA file", ctypes.c_void_p()
    native.check(library.ngram_arpa_new(str(folder).encode(), memory, ctypes.byref(reader)), where)
    try:
        for number, piece in enumerate(pieces(path)):
            if number == 0 and packed and piece.startswith((MAGIC, KENLM)):
                raise InputError(f"'{path}' is a binary packed by gzip, which cannot be mapped; unpack it first.")
            native.check(library.ngram_arpa_feed(reader, piece, len(piece)), where)
        with tempfile.TemporaryFile(dir=folder) as file:
            native.check(library.ngram_arpa_write(reader, file.fileno()), where)
            return LanguageModel(file, str(path))
    finally:
        library.ngram_arpa_free(reader)
