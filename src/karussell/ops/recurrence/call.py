"""The struct that a compiled engine is called with; the same, field by field, as loop/call.h."""

import ctypes

import torch
from torch import Tensor

KIND = {torch.float32: "f32", torch.float64: "f64"}
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
        ("stored", ctypes.c_void_p),
        ("d_history", _Pointers),
        ("d_final", _Pointers),
        ("d_initial", _Pointers),
        ("d_units", _Pointers),
        ("d_bias", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("special", "training")),
        ("resets", ctypes.c_void_p),
        *((name, _Pointers) for name in ("start", "d_start", "fresh")),
        ("zone", ctypes.c_double * MOST_VALUES),
        ("zone_key", ctypes.c_uint64 * MOST_VALUES),
        ("zone_below", ctypes.c_int64 * MOST_VALUES),
        ("gal", ctypes.c_int64),
        ("gal_key", ctypes.c_uint64 * MOST_STAGES),
        ("drop_value", ctypes.c_int64),
        ("drop_key", ctypes.c_uint64),
        ("drop_below", ctypes.c_int64),
        ("drop_scale", ctypes.c_double),
        ("normed", ctypes.c_int64),
        ("gain", ctypes.c_void_p * MOST_STAGES),
        ("norms", ctypes.c_void_p),
        ("stored_norms", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("d_gain", ctypes.c_void_p * MOST_STAGES),
        ("first", ctypes.c_int64),
        ("clip", ctypes.c_double * MOST_VALUES),
        ("sees", ctypes.c_void_p),
        ("seen_by", ctypes.c_void_p),
        ("projected", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("p", "made", "d_projected", "product")),
    )


def pointer(tensor: Tensor | None) -> int | None:
    """The address of a tensor's numbers."""
    return None if tensor is None else tensor.data_ptr()
