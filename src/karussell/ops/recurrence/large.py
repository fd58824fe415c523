"""The large products after the loop, compiled once for every cell: rows that do not count are not multiplied."""

import ctypes
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from karussell.native import Source, library
from karussell.ops.recurrence.call import KIND
from karussell.ops.threads import most
from karussell.program.emit_cpp import NUMBERS

# all rows, a stretch of them, or those with these numbers (int64)
Rows = slice | Tensor
ALL = slice(None)

_WHAT = "engine 'cpp' cannot make the gradients of matrices"


class _Large(ctypes.Structure):
    """One product; see loop/large.h for what every field is."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("M", "N", "K")),
        *(("a", ctypes.c_void_p), ("lda", ctypes.c_int64), ("a_rows", ctypes.c_void_p)),
        *(("b", ctypes.c_void_p), ("ldb", ctypes.c_int64), ("b_rows", ctypes.c_void_p)),
        *(("out", ctypes.c_void_p), ("ldo", ctypes.c_int64), ("add", ctypes.c_int64), ("threads", ctypes.c_int64)),
    )


def outer(a: Tensor, a_rows: Rows, b: Tensor, b_rows: Rows, out: Tensor, add: bool = False) -> None:
    """out (+)= a[a_rows].T @ b[b_rows]: [M, N] from [., M] and [., N]; the same bits with any number of threads."""
    left, right, columns = _side(a, a_rows), _side(b, b_rows), out.shape[1]
    _run("outer", (out.shape[0], columns, left.size), left, right, _side(out, ALL), add, a.dtype)


def inner(a: Tensor, rows: Rows, b: Tensor, out: Tensor, add: bool = False) -> None:
    """out[rows] (+)= a[rows] @ b: [., N] from [., K] and [K, N]."""
    left = _side(a, rows)
    to = _side(out, rows)
    _run("inner", (left.size, *b.shape[::-1]), left, _side(b, ALL), to, add, a.dtype)


class _Side(NamedTuple):
    """Rows of a matrix: where the first one lies, their distance, the address of their numbers, how many they are."""

    start: int
    stride: int
    rows: int | None
    size: int


def _side(matrix: Tensor, rows: Rows) -> _Side:
    stride = matrix.stride(0)
    if isinstance(rows, slice):
        # a stretch of rows is an address: no tensor is made of it
        first, last, _ = rows.indices(matrix.shape[0])
        return _Side(matrix.data_ptr() + first * stride * matrix.element_size(), stride, None, max(last - first, 0))
    return _Side(matrix.data_ptr(), stride, rows.data_ptr(), rows.shape[0])


def _run(
    name: str, sizes: tuple[int, int, int], left: _Side, right: _Side, out: _Side, add: bool, dtype: torch.dtype
) -> None:
    # below a fifth of a millisecond of work a second thread costs more than it gives
    members = most() if sizes[0] * sizes[1] * sizes[2] > 4_000_000 else 1
    call = _Large(*sizes, *left[:3], *right[:3], out.start, out.stride, add, members)
    _functions(KIND[dtype])[name](ctypes.byref(call))


@lru_cache
def source(kind: str = "f32") -> Source:
    """The products of one kind of numbers."""
    text = f'#include "large.h"\nKARUSSELL_LARGE({kind}, {NUMBERS[kind]})\n'
    return Source(f"large-{kind}", _WHAT, text, Path(__file__).parent / "loop")


def why_not(kind: str) -> str | None:
    """Why the products of "f32" or "f64" cannot be had here; None if they can. The first question builds them."""
    return library.why_not(source(kind))


@lru_cache
def product(kind: str) -> int:
    """The address of the loop's product."""
    function = getattr(library.load(source(kind)), f"{kind}_product")
    return ctypes.cast(function, ctypes.c_void_p).value or 0


@lru_cache
def _functions(kind: str) -> dict[str, Callable[[object], None]]:
    loaded = library.load(source(kind))
    found = {name: getattr(loaded, f"{kind}_{name}") for name in ("outer", "inner")}
    for function in found.values():
        function.argtypes, function.restype = [ctypes.c_void_p], None
    return found
