"""The compiled half: `ctc/native/search.cpp` as ctypes sees it, and its sentences as our errors."""

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from karussell.errors import EngineError, InputError
from karussell.native import Source, load

FOLDER = Path(__file__).parents[1] / "native"
_I64, _F64, _POINTER, _TEXT = ctypes.c_int64, ctypes.c_double, ctypes.c_void_p, ctypes.c_char_p
SCORES = ctypes.CFUNCTYPE(_I64, _I64, ctypes.POINTER(_I64), ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(_F64))
# what is the machine's doing, not the caller's
_OWN = ("there is not enough memory", "the prefix model failed")


def _fields(spelled: str) -> list[tuple[str, Any]]:
    kinds = {"i": _I64, "f": _F64, "p": _POINTER, "s": SCORES}
    return [(name, kinds[kind]) for kind, name in (word.split(":") for word in spelled.split())]


class Settings(ctypes.Structure):
    """SearchSettings of search_settings.h."""

    _fields_ = _fields(
        "i:classes i:blank i:beam f:beam_drop f:token_floor i:top_tokens i:recombine i:best_path "
        "i:writing p:separator p:starts p:spell_first p:spell "
        "i:lexicon_nodes p:lexicon_first p:lexicon_symbol p:ending_first p:ending p:ahead f:ahead_reach i:closed "
        "i:words p:word_number p:word_spell_first p:word_spell "
        "f:unknown f:word_bonus f:token_bonus f:word_weight p:word_model i:word_model_bytes "
        "f:token_weight p:token_model i:token_model_bytes p:token_number i:bounds p:context i:contexts "
        "f:prefix_weight s:prefix_scores "
        "i:phrase_nodes p:phrase_first p:phrase_symbol p:phrase_fail p:phrase_gain p:phrase_hope f:phrase_reach"
    )


class Passing(ctypes.Structure):
    """PassingSettings of token_passing.h."""

    _fields_ = _fields("i:classes i:blank i:separator i:words p:spell_first p:spell p:bigram p:last")


class Posteriors(ctypes.Structure):
    """Posteriors of search.cpp."""

    _fields_ = _fields(
        "p:data i:wide i:frames i:batch i:classes i:frame_stride i:batch_stride i:class_stride p:lengths"
    )


_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "ctc_search_wrong": (_TEXT, ctypes.POINTER(Settings)),
    "ctc_search_new": (_TEXT, ctypes.POINTER(Settings), ctypes.POINTER(_POINTER)),
    "ctc_search_free": (None, _POINTER),
    "ctc_search_begin": (None, _POINTER),
    "ctc_search_bytes": (_I64, _POINTER),
    "ctc_search_frames": (_I64, _POINTER),
    "ctc_search_feed": (_TEXT, ctypes.POINTER(_POINTER), ctypes.POINTER(Posteriors), _I64, _POINTER),
    "ctc_search_answer": (_TEXT, ctypes.POINTER(_POINTER), _I64, _I64, _I64, _POINTER),
    "ctc_search_copy": (None, *[_POINTER] * 8),
    "ctc_prefix_search": (_TEXT, _POINTER, _I64, _I64, _I64, _F64, _I64, _I64, *[_POINTER] * 4),
    "ctc_token_passing": (_TEXT, ctypes.POINTER(Passing), _POINTER, _I64, *[_POINTER] * 3),
    "ctc_align": (_TEXT, _POINTER, _I64, _I64, _I64, _POINTER, _I64, *[_POINTER] * 4),
}


@cache
def source() -> Source:
    """What is compiled."""
    text = (FOLDER / "search.cpp").read_text(encoding="utf-8")
    return Source("ctc_search", "the compiled search cannot run", text, FOLDER)


@cache
def library() -> ctypes.CDLL:
    """The compiled library, its functions declared; MissingError if it cannot be made."""
    loaded = load(source())
    for name, (result, *arguments) in _FUNCTIONS.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def check(sentence: bytes | None, where: str) -> None:
    """Raise what a function returned: EngineError if it is the machine's doing, else InputError."""
    if sentence is None:
        return
    text = sentence.decode()
    kind = EngineError if text.startswith(_OWN) else InputError
    raise kind(f"{where}: {text}.")


class Arrays:
    """Arrays that a structure points to, kept as long as it."""

    def __init__(self, structure: ctypes.Structure) -> None:
        self.structure = structure
        self._kept: list[np.ndarray] = []

    def set(self, name: str, values: Sequence[Any] | np.ndarray, dtype: Any) -> None:
        """Point a field at an array of its own; an empty one has a place too."""
        array = np.ascontiguousarray(values, dtype=dtype)
        if array.size == 0:
            array = np.zeros(1, dtype=dtype)
        self._kept.append(array)
        setattr(self.structure, name, array.ctypes.data)

    def set_rows(self, first: str, flat: str, rows: Sequence[Sequence[int]]) -> None:
        """Point two fields at a list of lists."""
        self.set(first, np.cumsum([0, *(len(row) for row in rows)]), np.int64)
        self.set(flat, [number for row in rows for number in row], np.int32)


def callback(scores: Callable[[list[tuple[int, ...]]], np.ndarray], classes: int, failed: list[BaseException]) -> Any:
    """What C++ calls to have prefixes scored; an exception goes to `failed`, since it cannot pass through C++."""

    def call(count: int, first: Any, tokens: Any, out: Any) -> int:
        try:
            ends = first[: count + 1]
            flat = tokens[: ends[-1]]
            found = np.asarray(scores([tuple(flat[a:b]) for a, b in pairwise(ends)]), np.float64)
            if found.shape != (count, classes):
                raise InputError(
                    f"the prefix model gave scores of shape {list(found.shape)} for {count} prefixes; "
                    f"[{count}, {classes}] are needed, the end of the text at the blank's place."
                )
            np.ctypeslib.as_array(out, (count, classes))[:] = found
        except BaseException as error:
            failed.append(error)
            return 1
        return 0

    return SCORES(call)
