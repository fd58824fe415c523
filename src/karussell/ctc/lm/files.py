"""Files of models and texts: opened by what they are, read in pieces, written whole or not at all."""

import gzip
import os
import secrets
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from karussell.errors import InputError

PIECE = 1 << 20
GZIP = b"\x1f\x8b"
Text = str | Path | Iterable[str | Path]
"""A file of text, or sentences and files in turn: a `str` in an iterable is a sentence, a `Path` a file."""


def beginning(path: Path, count: int = 64) -> bytes:
    """The first bytes of a file; InputError if there is none."""
    try:
        with open(path, "rb") as file:
            return file.read(count)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"'{path}' is no file ({error.strerror}); give the path of one.") from error


def pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file in pieces, unpacked if it is gzip."""
    packed = beginning(path, 2) == GZIP
    try:
        with gzip.open(path) if packed else open(path, "rb") as file:
            while piece := file.read(PIECE):
                yield piece
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"'{path}' is damaged: it begins as gzip, and then {error}.") from error


def texts(text: Text, where: str) -> Iterator[bytes]:
    """A text as UTF-8 in pieces of any length; each sentence and each file ends with a line end."""
    for item in [Path(text)] if isinstance(text, str | Path) else text:
        if isinstance(item, Path):
            for number, piece in enumerate(pieces(item)):
                yield piece.removeprefix(b"\xef\xbb\xbf") if number == 0 else piece
            yield b"\n"
            continue
        if not isinstance(item, str):
            raise InputError(f"{where}: a text is made of sentences (str) and files (Path), not of {type(item)}.")
        if "\n" in item:
            raise InputError(f"{where}: a sentence has a line end in it: {item[:60]!r}; give one sentence at a time.")
        try:
            yield item.encode() + b"\n"
        except UnicodeEncodeError as error:
            raise InputError(
                f"{where}: a sentence cannot be written as UTF-8 ({error.reason}): {item[:60]!r}."
            ) from error


def lines(text: Text, where: str) -> Iterator[bytes]:
    """The same, every piece made of whole lines."""
    rest = b""
    for piece in texts(text, where):
        rest += piece
        cut = rest.rfind(b"\n") + 1
        if cut:
            yield rest[:cut]
            rest = rest[cut:]


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A file open for writing that takes its name only when all went well, and leaves nothing otherwise."""
    temporary = path.with_name(f".{path.name[:80]}.{secrets.token_hex(6)}.tmp")
    try:
        with open(temporary, "x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
