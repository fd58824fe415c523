"""The functions of the loop, measured over the whole range against twice the precision, for each instruction set."""

import ctypes
import subprocess

import numpy as np
import pytest

from karussell import native
from karussell.ops.native import HEADERS

# units in the last place: what the header promises, and for float64 what was measured
BOUND = {"f32": 3.0, "f64": 3.0}
KIND = {"f32": np.float32, "f64": np.float64}
FUNCTIONS = ("exp", "sigmoid", "tanh")
SOURCE = """
#include "functions.h"
using namespace karussell;
template <class T, class F> static void run(const T* x, T* y, int64_t n, F f) {
    for (int64_t k = 0; k < n; k += Lanes<T>::count) {
        int lanes = int(n - k < Lanes<T>::count ? n - k : Lanes<T>::count);
        store<T>(y + k, f(load<T>(x + k, lanes)), lanes);
    }
}
#define MAKE(NAME, T)                                                                                    \\
    extern "C" __attribute__((visibility("default"))) void NAME##_exp(const T* x, T* y, int64_t n) {      \\
        run<T>(x, y, n, [](Vec<T> v) { return exp_<T>(v); });                                            \\
    }                                                                                                    \\
    extern "C" __attribute__((visibility("default"))) void NAME##_sigmoid(const T* x, T* y, int64_t n) {  \\
        run<T>(x, y, n, [](Vec<T> v) { return sigmoid_<T>(v); });                                        \\
    }                                                                                                    \\
    extern "C" __attribute__((visibility("default"))) void NAME##_tanh(const T* x, T* y, int64_t n) {     \\
        run<T>(x, y, n, [](Vec<T> v) { return tanh_<T>(v); });                                           \\
    }
MAKE(f32, float)
MAKE(f64, double)
"""


def available() -> set[str]:
    """The instruction sets that the processor here has."""
    best = native.best_isa()
    return {"avx512": {"avx512", "avx2", "plain"}, "avx2": {"avx2", "plain"}, "neon": {"neon"}}.get(best, {"plain"})


# by name: the instruction set, and other flags
BUILDS = {
    "avx512": ("avx512", []),
    "avx512_narrow": ("avx512", ["-DKARUSSELL_BYTES=32"]),
    "avx2": ("avx2", []),
    "neon": ("neon", []),
    "plain": ("plain", []),
}


@pytest.fixture(scope="module", params=BUILDS)
def library(request, tmp_path_factory):
    isa, extra = BUILDS[request.param]
    if isa not in available():
        pytest.skip(f"this processor has no {isa}")
    tool = native.compiler()
    assert tool is not None
    folder = tmp_path_factory.mktemp("functions")
    (folder / "functions.cpp").write_text(SOURCE)
    target = folder / "functions.so"
    command = [tool, *native.flags(isa), *extra, "-I", str(HEADERS), str(folder / "functions.cpp")]
    subprocess.run([*command, "-o", str(target)], check=True)
    return ctypes.CDLL(str(target))


def call(library, kind: str, name: str, x: np.ndarray) -> np.ndarray:
    y = np.full_like(x, np.nan)
    getattr(library, f"{kind}_{name}")(x.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p), len(x))
    return y


def exact(name: str, x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        x = x.astype(np.longdouble if x.dtype == np.float64 else np.float64)
        if name == "sigmoid":
            return np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))
        return {"exp": np.exp, "tanh": np.tanh}[name](x)


def sweep(kind: str) -> np.ndarray:
    """Four million numbers: every 2048th pattern of bits, and where the functions bend, lines."""
    if kind == "f32":
        # an odd stride, so that all bits of the fraction take part
        bits = np.arange(-(2**31), 2**31, 2047, dtype=np.int64).astype(np.int32).view(np.float32)
        lines = [np.linspace(-a, a, 2**19, dtype=np.float32) for a in (110, 12, 1)]
    else:
        generator = np.random.default_rng(1)
        bits = generator.integers(-(2**63), 2**63 - 1, 2**17, dtype=np.int64).view(np.float64)
        lines = [generator.uniform(-a, a, 2**17) for a in (760, 40, 2, 1e-3)]
    edges = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], dtype=KIND[kind])
    return np.concatenate([edges, bits, *lines]).astype(KIND[kind])


def error(kind: str, name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """In units in the last place of the exact result; results below the normal range may be zero."""
    info, want = np.finfo(KIND[kind]), exact(name, x)
    with np.errstate(all="ignore"):
        rounded = np.abs(want.astype(KIND[kind]))
        unit = np.spacing(np.minimum(rounded, info.max)).astype(want.dtype)
        off = np.abs(y.astype(want.dtype) - want) / unit
    off[np.isinf(rounded) & np.isinf(y)] = 0
    if name != "exp":
        # below the normal range sigmoid is zero; tanh passes its argument
        small = (rounded < info.tiny) & (np.abs(y) <= info.tiny)
        off[small] = np.minimum(off[small], 1) if name == "sigmoid" else off[small]
    return off


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", KIND)
def test_error_over_the_whole_range(library, kind, name):
    x = sweep(kind)
    y = call(library, kind, name, x)
    nan = np.isnan(x)
    assert np.isnan(y[nan]).all()
    assert not np.isnan(y[~nan]).any()
    off = error(kind, name, x[~nan], y[~nan])
    worst = off.argmax()
    assert off[worst] <= BOUND[kind], f"{name}({x[~nan][worst]!r}) = {y[~nan][worst]!r} is off by {off[worst]:.2f}"


@pytest.mark.parametrize("kind", KIND)
def test_limits(library, kind):
    tiny = np.finfo(KIND[kind]).smallest_subnormal
    x = np.array([np.inf, -np.inf, 0.0, -0.0, np.finfo(KIND[kind]).max, np.finfo(KIND[kind]).min, tiny], KIND[kind])
    np.testing.assert_array_equal(call(library, kind, "exp", x), [np.inf, 0, 1, 1, np.inf, 0, 1])
    np.testing.assert_array_equal(call(library, kind, "sigmoid", x), [1, 0, 0.5, 0.5, 1, 0, 0.5])
    tanh = call(library, kind, "tanh", x)
    np.testing.assert_array_equal(tanh[:6], [1, -1, 0, 0, 1, -1])
    assert list(np.signbit(tanh[:4])) == [False, True, False, True]


@pytest.mark.parametrize("kind", KIND)
def test_no_result_leaves_its_interval(library, kind):
    x = sweep(kind)
    x = x[~np.isnan(x)]
    sigmoid, tanh = call(library, kind, "sigmoid", x), call(library, kind, "tanh", x)
    assert (sigmoid >= 0).all()
    assert (sigmoid <= 1).all()
    assert (np.abs(tanh) <= 1).all()
    assert (np.sign(tanh[x != 0]) * np.sign(x[x != 0]) >= 0).all()
    assert (call(library, kind, "exp", x) >= 0).all()


def test_parts_of_a_vector(library):
    """What lies in the other lanes, and beyond the end, changes nothing."""
    x = np.linspace(-5, 5, 37, dtype=np.float32)
    whole = call(library, "f32", "tanh", x)
    for n in range(1, 37):
        np.testing.assert_array_equal(call(library, "f32", "tanh", x[:n].copy()), whole[:n])
