"""The compiled engine of a program: its source, its library, and the functions in it.

One library a kind of numbers, "f32" or "f64", for few ever use both and every one takes seconds to compile.
"""

import ctypes
from functools import lru_cache
from pathlib import Path

from karussell.native import Source, library
from karussell.program import Program
from karussell.program.emit_cpp import emit

HEADERS = Path(__file__).parent / "recurrence" / "loop"
_loaded: dict[tuple[str, str], ctypes.CDLL] = {}


@lru_cache(maxsize=256)
def source(program: Program, kind: str = "f32") -> Source:
    """The program printed as C++."""
    what = f"engine 'cpp' cannot run {program.name}"
    return Source(f"{program.digest}-{kind}", what, emit(program, (kind,)), HEADERS)


def why_not(program: Program, kind: str = "f32") -> str | None:
    """Why this program cannot run compiled here; None if it can. The first question builds it."""
    if (program.digest, kind) in _loaded:
        return None
    return library.why_not(source(program, kind))


def load(program: Program, kind: str) -> ctypes.CDLL:
    """The compiled engine of a program; MissingError if it is neither here nor can be made."""
    loop = _loaded.get((program.digest, kind))
    if loop is None:
        loop = library.load(source(program, kind))
        _declare(loop, kind)
        _loaded[program.digest, kind] = loop
    return loop


def _declare(loop: ctypes.CDLL, kind: str) -> None:
    for name in (f"{kind}_forward", f"{kind}_backward"):
        getattr(loop, name).argtypes = [ctypes.c_void_p]
        getattr(loop, name).restype = None
    packed = getattr(loop, f"{kind}_packed")
    packed.argtypes, packed.restype = [ctypes.c_int64] * 4, ctypes.c_int64
