"""Whether two sets of runs agree: Welch's test on means, Fisher's exact test on successes."""

import math
from collections.abc import Sequence


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return math.fsum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """The sample's standard deviation; 0 for a single value."""
    if len(values) < 2:
        return 0.0
    centre = mean(values)
    return math.sqrt(math.fsum((v - centre) ** 2 for v in values) / (len(values) - 1))


def welch(a: Sequence[float], b: Sequence[float]) -> float:
    """The two-sided p of Welch's t-test, 1 where either sample has fewer than two values or neither varies."""
    if len(a) < 2 or len(b) < 2:
        return 1.0
    va, vb = deviation(a) ** 2 / len(a), deviation(b) ** 2 / len(b)
    if va + vb == 0:
        return 1.0 if mean(a) == mean(b) else 0.0
    t = (mean(a) - mean(b)) / math.sqrt(va + vb)
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def fisher(successes_a: int, runs_a: int, successes_b: int, runs_b: int) -> float:
    """The two-sided p of Fisher's exact test: all tables at most as likely as this one."""
    total, wins = runs_a + runs_b, successes_a + successes_b

    def weight(k: int) -> int:
        return math.comb(runs_a, k) * math.comb(runs_b, wins - k)

    here = weight(successes_a)
    every = [weight(k) for k in range(max(0, wins - runs_b), min(runs_a, wins) + 1)]
    return sum(w for w in every if w <= here) / math.comb(total, wins)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by its continued fraction."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    # the fraction converges quickly on this side only
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    tiny = 1e-300
    c, d = 1.0, 1 / max(abs(1 - (a + b) * x / (a + 1)), tiny)
    found = d
    for m in range(1, 300):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + numerator * d or tiny)
            c = 1 + numerator / c or tiny
            found *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return front * found / a
