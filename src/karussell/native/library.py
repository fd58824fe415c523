"""Compiles a source on first use, keeps the library, and says exactly what is missing.

A library is found under a name made of its text, its headers, the flags, the compiler and the processor's instruction
set, so nothing old is ever run; builds that came with the package are looked at first, and need no compiler.
"""

import ctypes
import hashlib
import os
import platform
import subprocess
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from karussell.errors import MissingError
from karussell.files import home
from karussell.native.machine import compiler, flags, isa, version

CARRIED = Path(__file__).parent / "built"
_lock = threading.Lock()
_loaded: dict[tuple[str, str], ctypes.CDLL] = {}
_failed: dict[tuple[str, str], str] = {}


class Source(NamedTuple):
    """C++ to be compiled.

    name     of its file in the cache
    what     what cannot be done without it, the beginning of a sentence: "engine 'cpp' cannot run lstm"
    text     the source itself
    headers  the folder of the headers it includes, if any
    """

    name: str
    what: str
    text: str
    headers: Path | None = None

    def fingerprint(self) -> str:
        """Of the text and every header."""
        return hashlib.sha256((self.text + _headers(self.headers)).encode()).hexdigest()[:12]


@lru_cache
def _headers(folder: Path | None) -> str:
    return "" if folder is None else "".join(p.read_text(encoding="utf-8") for p in sorted(folder.glob("*.h")))


def load(source: Source) -> ctypes.CDLL:
    """The library of a source; MissingError if it is neither here nor can be made."""
    key = (source.name, source.text)
    library = _loaded.get(key)
    if library is None:
        with _lock:
            library = _loaded.get(key) or ctypes.CDLL(str(find(source, isa())))
            _loaded[key] = library
    return library


def why_not(source: Source) -> str | None:
    """Why this source has no library here, told once as a warning and remembered; None if it has.

    The first question builds it.
    """
    key = (source.name, source.text)
    if key in _loaded:
        return None
    missing = _missing(source)
    if missing is None and key not in _failed:
        try:
            load(source)
        except (MissingError, OSError, subprocess.SubprocessError) as error:
            _failed[key] = f"its build failed: {error}"
            warnings.warn(f"compiled code cannot be used, so something much slower runs: {error}", stacklevel=3)
    return missing or _failed.get(key)


def carried_name(source: Source, isa_name: str) -> str:
    """The file name under which the package carries a build."""
    return f"{source.name}-{source.fingerprint()}-{isa_name}.so"


def carried(source: Source, isa_name: str) -> Path | None:
    """The build that came with the package, if it was made from this very text and headers."""
    path = CARRIED / carried_name(source, isa_name)
    return path if path.exists() else None


def _missing(source: Source) -> str | None:
    """What a build would need and is not here."""
    if os.name != "posix":
        return f"compiled engines are not built for {platform.system()} yet"
    chosen = isa()
    if compiler() or carried(source, chosen):
        return None
    return (
        "there is no C++ compiler here and no build of this came with the package; install g++ or clang++ "
        "(Debian: apt install g++) or set CXX to one"
    )


def find(source: Source, isa_name: str) -> Path:
    """The library's file, compiled now if it is not there."""
    path = carried(source, isa_name)
    if path is not None:
        return path
    reason = _missing(source)
    if reason is not None:
        raise MissingError(f"{source.what}: {reason}")
    tool = compiler()
    assert tool is not None
    made_of = "\n".join([source.fingerprint(), *flags(isa_name), tool, version(tool)])
    path = home() / "native" / f"{source.name}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}-{isa_name}.so"
    try:
        if not path.exists():
            with _only_one(path):
                if not path.exists():
                    build(source, isa_name, path)
    except OSError as error:
        raise MissingError(
            f"{source.what}: its build cannot be kept in '{path.parent}' ({error}); "
            "set KARUSSELL_HOME to a folder that can be written"
        ) from error
    return path


def build(source: Source, isa_name: str, path: Path) -> None:
    """Compile a source into `path`, which appears whole or not at all."""
    tool = compiler()
    if tool is None:
        raise MissingError("there is no C++ compiler here; install g++ or clang++, or set CXX to one")
    path.parent.mkdir(parents=True, exist_ok=True)
    include = [] if source.headers is None else ["-I", str(source.headers)]
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        text, target = Path(folder) / "source.cpp", Path(folder) / "library.so"
        text.write_text(source.text, encoding="utf-8")
        command = [tool, *flags(isa_name), *include, str(text), "-o", str(target)]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode or not target.exists():
            raise MissingError(f"{source.what}: {tool} failed to compile it. {run.stderr[-2000:]}")
        os.replace(target, path)


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Of many processes that start at once, one compiles and the others wait."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
