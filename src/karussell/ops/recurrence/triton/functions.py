"""What printed kernels call. Importing this needs Triton; with TRITON_INTERPRET=1 all of it runs on the CPU.

float32: tanh, sigmoid and their like are within a few units in the last place; NaN goes through.
"""

# mypy: disable-error-code="no-untyped-def"

import triton
import triton.language as tl


@triton.jit
def narrow(x, dtype: tl.constexpr, simulate: tl.constexpr):
    """A float32 tile in the dtype of memory; the interpreter cuts bfloat16 off, hardware rounds to nearest even."""
    if simulate:
        bits = x.to(tl.uint32, bitcast=True)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
        x = tl.where(x == x, rounded.to(tl.float32, bitcast=True), x)
    return x.to(dtype)


@triton.jit
def product(a, b, total, precision: tl.constexpr, simulate: tl.constexpr):
    """total + a @ b, added up in float32; the interpreter has no product of bfloat16 tiles."""
    if simulate:
        total = tl.dot(a.to(tl.float32), b.to(tl.float32), total)
    else:
        total = tl.dot(a, b, total, input_precision=precision)
    return total


@triton.jit
def barrier(counter, target):
    """Wait until all programs that count on this counter have come here `target / programs` times."""
    tl.debug_barrier()
    seen = tl.atomic_add(counter, 1, sem="acq_rel", scope="gpu") + 1
    while seen < target:
        seen = tl.atomic_add(counter, 0, sem="acquire", scope="gpu")
    tl.debug_barrier()


@triton.jit
def mix64(z):
    """The finaliser of splitmix64."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    return z ^ (z >> 31)


@triton.jit
def mix32(z):
    """The finaliser of MurmurHash3."""
    z = (z ^ (z >> 16)) * 0x85EBCA6B
    z = (z ^ (z >> 13)) * 0xC2B2AE35
    return z ^ (z >> 16)


@triton.jit
def below(key, t, row, unit, limit):
    """Whether the uniform number of (key, t, row, unit) is below a limit in units of 2^-24; as ops/noise.py draws."""
    cell = mix64(key.to(tl.uint64) + row.to(tl.uint64) * 0xD1342543DE82EF95)
    cell = mix64(cell + t * 0xF1357AEA2E62A9C5)
    low, high = (cell & 0xFFFFFFFF).to(tl.uint32), (cell >> 32).to(tl.uint32)
    bits = mix32(mix32(unit.to(tl.uint32) * 0x9E3779B1 + low) ^ high)
    return (bits >> 8).to(tl.int32) < limit


@triton.jit
def sigmoid_(x):
    """1 / (1 + exp(-x)), by the exponential that cannot overflow."""
    e = tl.exp(-tl.abs(x))
    return tl.where(x >= 0, 1.0, e) / (1.0 + e)


@triton.jit
def tanh_(x):
    """The hyperbolic tangent; near zero by its series, where the quotient would cancel."""
    e = tl.exp(-2.0 * tl.abs(x))
    far = (1.0 - e) / (1.0 + e)
    s = x * x
    near = x * (1.0 + s * (-1.0 / 3 + s * (2.0 / 15 + s * (-17.0 / 315 + s * (62.0 / 2835 - s * (1382.0 / 155925))))))
    return tl.where(s < 0.09, near, tl.where(x < 0, -far, far))


@triton.jit
def log1p_(x):
    """log(1 + x), its rounding undone (Kahan)."""
    y = 1.0 + x
    return tl.where((y == 1.0) | (y == float("inf")), x, tl.log(y) * (x / (y - 1.0)))


@triton.jit
def expm1_(x):
    """exp(x) - 1, its rounding undone (Kahan)."""
    y = tl.exp(x)
    exact = (y - 1.0) * (x / tl.log(y))
    return tl.where(y == 1.0, x, tl.where((y < 1e-7) | (y > 1e30), y - 1.0, exact))


@triton.jit
def trunc_(x):
    """Towards zero."""
    return tl.where(x < 0, tl.ceil(x), tl.floor(x))


@triton.jit
def round_(x):
    """To the nearest whole number, half to even."""
    size = tl.abs(x)
    whole = (size + 8388608.0) - 8388608.0
    return tl.where(size < 8388608.0, tl.where(x < 0, -whole, whole), x)


@triton.jit
def sign_(x):
    """-1, 0 or 1."""
    return tl.where(x > 0, 1.0, tl.where(x < 0, -1.0, 0.0))


@triton.jit
def atan_(x):
    """The arc tangent (Cephes atanf)."""
    a = tl.abs(x)
    large, middle = a > 2.414213562373095, a > 0.4142135623730950
    y = tl.where(large, 1.5707963267948966, tl.where(middle, 0.7853981633974483, 0.0))
    a = tl.where(large, -1.0 / tl.where(large, a, 1.0), tl.where(middle, (a - 1.0) / (a + 1.0), a))
    s = a * a
    y += (((8.05374449538e-2 * s - 1.38776856032e-1) * s + 1.99777106478e-1) * s - 3.33329491539e-1) * s * a + a
    return tl.where(x < 0, -y, y)


@triton.jit
def asin_(x):
    """The arc sine; NaN outside [-1, 1]."""
    return atan_(x / tl.sqrt((1.0 - x) * (1.0 + x)))


@triton.jit
def acos_(x):
    """The arc cosine; NaN outside [-1, 1]."""
    return 2.0 * atan_(tl.sqrt((1.0 - x) / (1.0 + x)))


@triton.jit
def sinh_(x):
    """The hyperbolic sine."""
    y = expm1_(tl.abs(x))
    half = 0.5 * (y + y / (y + 1.0))
    return tl.where(x < 0, -half, half)


@triton.jit
def cosh_(x):
    """The hyperbolic cosine."""
    y = tl.exp(tl.abs(x))
    return 0.5 * y + 0.5 / y


@triton.jit
def pow_(x, y):
    """x to the power y, as the C function: a negative x has whole powers only."""
    size = tl.exp(y * tl.log(tl.abs(x)))
    whole, odd = tl.floor(y) == y, tl.floor(0.5 * y) * 2.0 != y
    signed = tl.where(whole, tl.where(odd, -size, size), float("nan"))
    return tl.where((y == 0.0) | (x == 1.0), 1.0, tl.where(x < 0, signed, size))


@triton.jit
def fmod_(x, y):
    """What division towards zero leaves."""
    return x % y


@triton.jit
def remainder_(x, y):
    """What division towards minus infinity leaves."""
    r = x % y
    return tl.where((r != 0) & ((r < 0) != (y < 0)), r + y, r)


@triton.jit
def maximum_(x, y):
    """The greater; NaN where either is."""
    return tl.maximum(x, y, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def minimum_(x, y):
    """The lesser; NaN where either is."""
    return tl.minimum(x, y, propagate_nan=tl.PropagateNan.ALL)
