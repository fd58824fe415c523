"""The large products after the loop, compiled once for every cell: rows that do not count are not multiplied."""

import ctypes
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

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
    (a, a_index), (b, b_index) = _rows(a, a_rows), _rows(b, b_rows)
    count = a.shape[0] if a_index is None else a_index.shape[0]
    _run("outer", (a.shape[1], b.shape[1], count), (a, a_index), (b, b_index), out, add)


def inner(a: Tensor, rows: Rows, b: Tensor, out: Tensor, add: bool = False) -> None:
    """out[rows] (+)= a[rows] @ b: [., N] from [., K] and [K, N]."""
    out, _ = _rows(out, rows)
    a, index = _rows(a, rows)
    count = a.shape[0] if index is None else index.shape[0]
    _run("inner", (count, b.shape[1], b.shape[0]), (a, index), (b, None), out, add)


def _rows(matrix: Tensor, rows: Rows) -> tuple[Tensor, Tensor | None]:
    return (matrix[rows], None) if isinstance(rows, slice) else (matrix, rows)


def _run(
    name: str,
    sizes: tuple[int, int, int],
    left: tuple[Tensor, Tensor | None],
    right: tuple[Tensor, Tensor | None],
    out: Tensor,
    add: bool,
) -> None:
    (a, a_rows), (b, b_rows) = left, right
    call = _Large(*sizes)
    call.a, call.lda, call.b, call.ldb = a.data_ptr(), a.stride(0), b.data_ptr(), b.stride(0)
    call.a_rows = None if a_rows is None else a_rows.data_ptr()
    call.b_rows = None if b_rows is None else b_rows.data_ptr()
    call.out, call.ldo, call.add = out.data_ptr(), out.stride(0), add
    # below a fifth of a millisecond of work a second thread costs more than it gives
    call.threads = most() if sizes[0] * sizes[1] * sizes[2] > 4_000_000 else 1
    _functions(KIND[a.dtype])[name](ctypes.byref(call))


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
