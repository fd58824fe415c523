"""The compiled engine of a program: its source, its library, and the functions in it."""

import ctypes
from functools import lru_cache
from pathlib import Path

from karussell.native import Source, library
from karussell.program import Program
from karussell.program.emit_cpp import emit

HEADERS = Path(__file__).parent / "recurrence" / "loop"
_loaded: dict[str, ctypes.CDLL] = {}


@lru_cache(maxsize=256)
def source(program: Program) -> Source:
    """The program printed as C++."""
    return Source(program.digest, f"engine 'cpp' cannot run {program.name}", emit(program), HEADERS)


def why_not(program: Program) -> str | None:
    """Why this program cannot run compiled here; None if it can. The first question builds it."""
    if program.digest in _loaded:
        return None
    return library.why_not(source(program))


def load(program: Program) -> ctypes.CDLL:
    """The compiled engine of a program; MissingError if it is neither here nor can be made."""
    loop = _loaded.get(program.digest)
    if loop is None:
        loop = library.load(source(program))
        _declare(loop)
        _loaded[program.digest] = loop
    return loop


def _declare(loop: ctypes.CDLL) -> None:
    for kind in ("f32", "f64"):
        for name in (f"{kind}_forward", f"{kind}_backward"):
            getattr(loop, name).argtypes = [ctypes.c_void_p]
            getattr(loop, name).restype = None
        packed = getattr(loop, f"{kind}_packed")
        packed.argtypes, packed.restype = [ctypes.c_int64] * 3, ctypes.c_int64
