"""The struct that a compiled engine is called with; the same, field by field, as loop/call.h."""

import ctypes

from torch import Tensor

MOST_VALUES = 48
MOST_STAGES = 16

_Pointers = ctypes.c_void_p * MOST_VALUES


class Call(ctypes.Structure):
    """One call of the loop; see loop/call.h for what every field is."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("steps", "batch", "inputs", "hidden", "threads", "reverse", "by_units")),
        ("lengths", ctypes.c_void_p),
        ("x", ctypes.c_void_p),
        ("w", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("r", ctypes.c_void_p * MOST_STAGES),
        ("fixed", _Pointers),
        ("wide", ctypes.c_int64 * MOST_VALUES),
        ("packed", ctypes.c_void_p),
        ("pack", ctypes.c_int64),
        ("initial", _Pointers),
        ("final", _Pointers),
        ("history", _Pointers),
        ("lines", ctypes.c_void_p),
        ("d_history", _Pointers),
        ("d_final", _Pointers),
        ("d_initial", _Pointers),
        ("d_units", _Pointers),
        ("d_bias", ctypes.c_void_p),
    )


def pointer(tensor: Tensor | None) -> int | None:
    """The address of a tensor's numbers."""
    return None if tensor is None else tensor.data_ptr()
