"""Every operation of the tables, traced, emitted, compiled, and compared with torch: NaN and infinities too.

The cells here have one old state p and one q, and a state for every operation that holds its value. One step, and what
an operation gives is the final state; the derivatives are the gradients of the initial p and q.
"""

import itertools
from functools import lru_cache

import pytest
import torch
from torch.nn import functional

from karussell.cells import Cell
from karussell.ops import Weights, recurrence, watch
from karussell.program import emit_cpp, interpret, program, trace

TOLERANCE = {torch.float32: {"rtol": 1e-5, "atol": 2e-6}, torch.float64: {"rtol": 1e-12, "atol": 1e-13}}
INF, NAN = float("inf"), float("nan")


# any numbers will do, and derivatives are finite
EVERYWHERE = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "neg": torch.neg, "abs": torch.abs, "exp": torch.exp,
    "expm1": torch.expm1, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "sin": torch.sin, "cos": torch.cos,
    "erf": torch.erf, "floor": torch.floor, "ceil": torch.ceil, "round": torch.round, "trunc": torch.trunc,
    "sign": torch.sign, "sgn": torch.sgn, "atan": torch.atan, "sinh": torch.sinh, "cosh": torch.cosh,
}  # fmt: skip
CHOICES = {
    "maximum": torch.maximum, "minimum": torch.minimum, "relu": torch.relu, "clamp": lambda p: p.clamp(-0.5, 0.75),
    "clamp_low": lambda p: p.clamp(min=-0.25), "clamp_high": lambda p: torch.clamp(p, max=0.25),
    "clamp_between": lambda p, q: torch.clamp(p, q, q + 0.5), "clamp_min": lambda p: p.clamp_min(0.1),
    "less": lambda p, q: torch.where(p < q, p, 2 * q), "at_most": lambda p, q: torch.where(p <= q, p, 2 * q),
    "more": lambda p, q: torch.where(p > q, p, 2 * q), "at_least": lambda p, q: torch.where(p >= q, p, 2 * q),
    "equal": lambda p, q: torch.where(p == q, p, 2 * q), "unequal": lambda p, q: torch.where(p != q, p, 2 * q),
    "both": lambda p, q: torch.where((p > 0) & (q > 0), p, q),
    "either": lambda p, q: torch.where((p > 0) | (q > 0), p, q),
    "one": lambda p, q: torch.where((p > 0) ^ (q > 0), p, q), "none": lambda p, q: torch.where(~(p > 0), p, q),
    "true": lambda p, q: torch.where(torch.logical_not(p), q, p), "counted": lambda p, q: (p > q) * q + (p > 0),
    "isnan": lambda p, q: torch.where(torch.isnan(p), q, p),
}  # fmt: skip
SMOOTH = {
    "silu": functional.silu, "gelu": functional.gelu, "gelu_tanh": lambda p: functional.gelu(p, approximate="tanh"),
    "softplus": functional.softplus, "hardsigmoid": functional.hardsigmoid, "leaky_relu": functional.leaky_relu,
    "elu": functional.elu, "selu": functional.selu, "celu": functional.celu, "mish": functional.mish,
    "hardtanh": functional.hardtanh, "hardswish": functional.hardswish, "relu6": functional.relu6,
    "logsigmoid": functional.logsigmoid, "softsign": functional.softsign, "tanhshrink": functional.tanhshrink,
    "threshold": lambda p: functional.threshold(p, 0.1, 20.0), "lerp": lambda p, q: torch.lerp(p, q, 0.3),
    "lerp_far": lambda p, q: torch.lerp(p, q, 0.7), "lerp_by": lambda p, q: p.lerp(q, torch.sigmoid(p)),
    "square": torch.square,
}  # fmt: skip
# for numbers between 0 and 1
PARTLY = {
    "log": torch.log, "log1p": torch.log1p, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "reciprocal": torch.reciprocal,
    "asin": torch.asin, "acos": torch.acos, "div": torch.div, "pow": torch.pow, "cubed": lambda p: p**3,
    "root": lambda p: p**0.5, "inverse": lambda p: p**-1, "minus_two": lambda p: p**-2, "power": lambda p: p**1.7,
    "of_two": lambda p: 2**p, "fmod": torch.fmod, "remainder": torch.remainder, "logit": torch.logit,
    "logit_eps": lambda p: torch.logit(p, eps=0.1), "addcdiv": lambda p, q: torch.addcdiv(p, p, q, value=0.5),
    "addcmul": lambda p, q: torch.addcmul(p, p, q, value=0.5),
}  # fmt: skip
ROUNDED = {
    "floor_div": lambda p, q: torch.div(p, q, rounding_mode="floor"), "fmod_number": lambda p: torch.fmod(p, 0.7),
    "trunc_div": lambda p, q: torch.div(p, q, rounding_mode="trunc"), "remainder_number": lambda p: p % -0.7,
    "frac": torch.frac, "isinf": lambda p, q: torch.where(torch.isinf(p), q, p),
    "rsub": lambda p: torch.rsub(p, 1, alpha=2),
    "sub_twice": lambda p, q: torch.sub(p, q, alpha=2), "add_twice": lambda p, q: torch.add(p, q, alpha=2),
    "isfinite": lambda p, q: torch.where(torch.isfinite(p), p, q), "logaddexp": torch.logaddexp,
    "masked_fill": lambda p, q: p.masked_fill(q > 0, 0.5), "zeros": lambda p: p * 0.0 + torch.zeros_like(p),
    "ones": lambda p: p + p.new_ones(p.shape), "full": lambda p: p * torch.full_like(p, -2.5),
    "in_place": lambda p, q: p.clone().mul_(q).sub_(1), "detached": lambda p, q: p.detach() * q,
}  # fmt: skip
GROUPS = {"everywhere": EVERYWHERE, "choices": CHOICES, "smooth": SMOOTH, "partly": PARTLY, "rounded": ROUNDED}


# torch's own functions of two numbers
PAIRS = {"add", "sub", "mul", "div", "pow", "maximum", "minimum", "fmod", "remainder", "logaddexp"}


def apply(name, function, p, q):
    """The operation on p, or on p and q where it takes both."""
    code = getattr(function, "__code__", None)
    of_ours = code is not None and "test_operations" in code.co_filename
    both = "q" in code.co_varnames[: code.co_argcount] if of_ours else name in PAIRS
    return function(p, q) if both else function(p)


@lru_cache
def cell(group: str) -> Cell:
    functions = GROUPS[group]

    def step(a, p, q):
        return (torch.tanh(a), p, q, *(apply(n, f, p, q) for n, f in functions.items()))

    return Cell(group, ("h", "p", "q", *(f"of_{n}" for n in functions)), ("a",), step, sees=())


def run(group: str, p: torch.Tensor, q: torch.Tensor):
    """The value of every operation on p and q, [B, H], compiled."""
    made = cell(group)
    batch, hidden = p.shape
    weights = Weights(w=p.new_ones(hidden, 1), b=p.new_zeros(hidden))
    zero = p.new_zeros(batch, hidden)
    state = made.State(zero, p, q, *(zero for _ in GROUPS[group]))
    with watch() as ran:
        result = recurrence(made, p.new_ones(1, batch, 1), weights, state, engine="cpp")
    assert ran == ["cpp"]
    return result.state[3:]


def specials(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    info = torch.finfo(dtype)
    one = [
        NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, -3.5, 0.7, -0.7, info.tiny, -info.tiny / 8,
        info.max, info.min, 30.0, -30.0, 120.0, -120.0,
    ]  # fmt: skip
    pairs = torch.tensor(list(itertools.product(one, one)), dtype=dtype)
    return pairs[:, 0].view(len(one), -1), pairs[:, 1].view(len(one), -1)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda d: str(d)[6:])
@pytest.mark.parametrize("group", GROUPS)
def test_values_with_nan_and_infinities(group, dtype):
    p, q = specials(dtype)
    for (name, function), got in zip(GROUPS[group].items(), run(group, p, q), strict=True):
        want = apply(name, function, p, q)
        if name == "floor_div":
            # a quotient rounded down is made for numbers that have one
            fine = torch.isfinite(p) & torch.isfinite(q) & (q != 0)
            got, want = got[fine], want[fine]
        torch.testing.assert_close(got, want, equal_nan=True, msg=lambda m, n=name: f"{n}: {m}", **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda d: str(d)[6:])
@pytest.mark.parametrize("group", GROUPS)
def test_values_and_derivatives(group, dtype):
    if group == "partly":
        p, q = (torch.rand(9, 37, dtype=torch.float64) * 0.9 + 0.05 for _ in range(2))
    else:
        p, q = (torch.randn(9, 37, dtype=torch.float64) * 2 for _ in range(2))
    p, q = p.to(dtype).requires_grad_(), q.to(dtype).requires_grad_()
    values = run(group, p, q)
    for (name, function), got in zip(GROUPS[group].items(), values, strict=True):
        want = apply(name, function, p, q)
        upstream = torch.randn_like(want)
        torch.testing.assert_close(got, want, msg=lambda m, n=name: f"{n}: {m}", **TOLERANCE[dtype])
        found = torch.autograd.grad(got, (p, q), upstream, retain_graph=True)
        pulled = (None, None)
        if want.requires_grad:
            pulled = torch.autograd.grad(want, (p, q), upstream, allow_unused=True)
        # torch's kernel of this one multiplies by a sixth in single precision
        tolerance = TOLERANCE[torch.float32 if name == "hardsigmoid" else dtype]
        for a, b in zip(found, pulled, strict=True):
            expected = torch.zeros_like(a) if b is None else b
            torch.testing.assert_close(a, expected, msg=lambda m, n=name: f"d {n}: {m}", **tolerance)


def test_at_a_tie_the_derivative_is_torchs():
    p = torch.tensor([[-0.5, 0.0, 0.75, 0.25, -0.25, 0.1, 1.0, -3.0, 3.0]], dtype=torch.float64).requires_grad_()
    q = p.detach().clone().requires_grad_()
    for group in ("choices", "smooth"):
        for (name, function), got in zip(GROUPS[group].items(), run(group, p, q), strict=True):
            want = apply(name, function, p, q)
            found = torch.autograd.grad(got.sum(), (p, q), retain_graph=True)
            pulled = torch.autograd.grad(want.sum(), (p, q), allow_unused=True)
            for a, b in zip(found, pulled, strict=True):
                torch.testing.assert_close(
                    a, torch.zeros_like(a) if b is None else b, msg=lambda m, n=name: f"{n}: {m}"
                )


def test_every_operation_of_the_tables_is_here():
    seen = set()
    for group in GROUPS:
        for stage in program(cell(group)).stages:
            seen |= {n.op for code in (stage.forward, stage.backward) for n in code.nodes}
    emitted = {*emit_cpp._INFIX, *emit_cpp._VECTOR, *emit_cpp._LANE, *emit_cpp._LANE2}
    emitted |= {"where", "neg", "not", "abs", "reciprocal", "rsqrt"}
    assert seen - {"input", "constant"} == emitted
    assert set(interpret.OPERATIONS) == emitted
    # a relu is a maximum, and xor an inequality
    traced = {*trace._UNARY, *trace._BINARY, *trace._LOGIC.values(), "add", "sub", "where", "not"} - {"xor"}
    assert traced == emitted
