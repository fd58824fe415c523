"""The compiled half: `ctc/native/ngram.cpp` as ctypes sees it, and its errors as ours."""

import ctypes
from functools import cache
from pathlib import Path

from karussell.errors import InputError
from karussell.native import Source, load

FOLDER = Path(__file__).parents[1] / "native"
MOST_ORDER = 12


class State(ctypes.Structure):
    """NgramState of ngram_state.h."""

    _fields_ = (("length", ctypes.c_uint32), ("words", ctypes.c_uint32 * 7))


class Options(ctypes.Structure):
    """TrainerOptions of ngram.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("order", "memory", "closed", "fall_back")),
        ("prune", ctypes.c_int64 * MOST_ORDER),
        ("discounts", ctypes.c_double * 3),
    )


class Report(ctypes.Structure):
    """TrainerReport of ngram.cpp."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("sentences", "tokens", "words")),
        ("counts", ctypes.c_uint64 * MOST_ORDER),
        ("discounts", (ctypes.c_double * 3) * MOST_ORDER),
    )


class Facts(ctypes.Structure):
    """Facts of ngram.cpp."""

    _fields_ = (
        *((n, ctypes.c_uint64) for n in ("order", "words", "begin", "end", "probing", "has_text", "unknown")),
        ("counts", ctypes.c_uint64 * MOST_ORDER),
    )


class Sums(ctypes.Structure):
    """NgramSums of ngram_use.h."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("sentences", "words", "unknown")),
        *((name, ctypes.c_double) for name in ("all", "of_unknown")),
    )


_POINTER, _BYTES, _U32, _U64, _F64 = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_double
_I32, _OUT = ctypes.c_int32, ctypes.POINTER(ctypes.c_void_p)
_FUNCTIONS = {
    "error": (_BYTES,),
    "trainer_new": (_I32, ctypes.POINTER(Options), _BYTES, _OUT),
    "trainer_word": (_I32, _POINTER, _BYTES, _U64),
    "trainer_feed": (_I32, _POINTER, _BYTES, _U64),
    "trainer_write": (_I32, _POINTER, _I32, ctypes.POINTER(Report)),
    "trainer_free": (None, _POINTER),
    "arpa_new": (_I32, _BYTES, _U64, _OUT),
    "arpa_feed": (_I32, _POINTER, _BYTES, _U64),
    "arpa_write": (_I32, _POINTER, _I32),
    "arpa_free": (None, _POINTER),
    "open": (_I32, _POINTER, _U64, _I32, _OUT),
    "close": (None, _POINTER),
    "facts": (None, _POINTER, ctypes.POINTER(Facts)),
    "text": (_POINTER, _POINTER, _OUT, ctypes.POINTER(_U64)),
    "find": (_U32, _POINTER, _BYTES, _U64),
    "begin": (None, _POINTER, ctypes.POINTER(State)),
    "score": (_F64, _POINTER, ctypes.POINTER(State), _U32, ctypes.POINTER(State)),
    "scores": (None, _POINTER, ctypes.POINTER(State), _POINTER, _U64, _POINTER),
    "sums": (None, _POINTER, _BYTES, _U64, ctypes.POINTER(Sums)),
    "worst_sum": (_F64, _POINTER),
    "writer_new": (_I32, _POINTER, _OUT),
    "writer_next": (_I32, _POINTER, _OUT, ctypes.POINTER(_U64)),
    "writer_free": (None, _POINTER),
    "sign": (_U64, _BYTES, _U64),
}


@cache
def source() -> Source:
    """What is compiled."""
    text = (FOLDER / "ngram.cpp").read_text(encoding="utf-8")
    return Source("ngram", "language models cannot be read or made", text, FOLDER)


@cache
def library() -> ctypes.CDLL:
    """The compiled library, its functions declared; MissingError if it cannot be made."""
    loaded = load(source())
    for name, (result, *arguments) in _FUNCTIONS.items():
        function = getattr(loaded, f"ngram_{name}")
        function.restype, function.argtypes = result, arguments
    return loaded


def check(code: int, where: str) -> None:
    """Raise what a function returned: an InputError that begins with `where`, or the system's OSError."""
    if code == 0:
        return
    # a word in a message may have been cut in the middle of a character, or be no text at all
    sentence = (library().ngram_error() or b"").decode("utf-8", "backslashreplace")
    if code > 0:
        raise OSError(code, sentence)
    raise InputError(f"{where}: {sentence}.")
