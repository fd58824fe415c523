"""What a forecast says about a step: quantiles, or the parameters of a distribution. All on the window's scale.

    quantiles          m, then the gaps to the levels above and below it: they cannot cross
    gaussian           mean, standard deviation
    student_t          location, scale, degrees of freedom above 2
    negative_binomial  counts: mean and dispersion, of the values themselves

Koenker and Bassett 1978 (pinball loss); Salinas et al. 2020, arXiv 1704.04110 (parametric outputs).
"""

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Kind = Literal["quantiles", "gaussian", "student_t", "negative_binomial"]
_SAMPLES = 400


def width(kind: Kind, levels: tuple[float, ...]) -> int:
    """Numbers the network gives a step."""
    return {"quantiles": len(levels), "gaussian": 2, "student_t": 3, "negative_binomial": 2}[kind]


def pinball(quantiles: Tensor, target: Tensor, levels: tuple[float, ...]) -> Tensor:
    """2 max(q e, (q - 1) e) with e = y - quantile, for every level q: [..., Q]. At q = 0.5 the absolute error."""
    level = torch.tensor(levels, dtype=quantiles.dtype, device=quantiles.device)
    error = target[..., None] - quantiles
    return 2 * torch.maximum(level * error, (level - 1) * error)


def loss(
    kind: Kind, raw: Tensor, target: Tensor, weight: Tensor, levels: tuple[float, ...], centre: Tensor, scale: Tensor
) -> Tensor:
    """The mean loss of raw outputs [B, D, P] against targets [B, D]; what is missing (nan) counts nothing.

    Quantiles: the pinball loss, in the unit of errors (`weight` [B]). Distributions: the negative log-likelihood of
    the values on the window's scale, of the negative binomial that of the counts.
    """
    there = torch.isfinite(target)
    y = torch.where(there, target, 0)
    if kind == "quantiles":
        each = pinball(quantiles(kind, raw, levels, centre, scale), y, levels).mean(-1) * weight[:, None]
    elif kind == "gaussian":
        sd = functional.softplus(raw[..., 1]) + 1e-3
        each = 0.5 * ((y - raw[..., 0]) / sd).square() + sd.log() + 0.5 * math.log(2 * math.pi)
    elif kind == "student_t":
        spread, freedom = _student(raw)
        each = -torch.distributions.StudentT(freedom, raw[..., 0], spread).log_prob(y)
    else:
        mean, shape = _counts(raw, centre, scale)
        # the value itself, which the window's scale hid
        count = (y * scale[:, None] + centre[:, None]).float().clamp(min=0).round()
        each = -_negative_binomial(mean, shape).log_prob(count)
    return torch.where(there, each, 0).sum() / there.sum().clamp(min=1)


def quantiles(kind: Kind, raw: Tensor, levels: tuple[float, ...], centre: Tensor, scale: Tensor) -> Tensor:
    """Quantiles [B, D, Q] on the window's scale, rising with the level."""
    if kind == "quantiles":
        at = levels.index(0.5)
        middle = raw[..., at : at + 1]
        up = functional.softplus(raw[..., at + 1 :] - 1).cumsum(-1)
        down = functional.softplus(raw[..., :at] - 1).flip(-1).cumsum(-1).flip(-1)
        return torch.cat([middle - down, middle, middle + up], -1)
    level = torch.tensor(levels, dtype=raw.dtype, device=raw.device)
    if kind == "gaussian":
        return raw[..., :1] + (functional.softplus(raw[..., 1:]) + 1e-3) * torch.special.ndtri(level)
    if kind == "student_t":
        spread, freedom = _student(raw)
        return raw[..., :1] + spread[..., None] * student_quantile(level, freedom[..., None])
    mean, shape = _counts(raw, centre, scale)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        drawn = _negative_binomial(mean.cpu(), shape.cpu()).sample((_SAMPLES,)).to(mean.device)
    found = torch.quantile(drawn, level, dim=0).movedim(0, -1)  # [B, D, Q]
    return ((found - centre[:, None, None]) / scale[:, None, None]).to(raw.dtype)


def mean_weights(levels: tuple[float, ...]) -> list[float]:
    """What each quantile counts in the mean: the share of levels that lie nearest to it."""
    bounds = [0.0, *((a + b) / 2 for a, b in pairwise(levels)), 1.0]
    return [b - a for a, b in pairwise(bounds)]


def mean(kind: Kind, raw: Tensor, levels: tuple[float, ...], centre: Tensor, scale: Tensor) -> Tensor:
    """The expectation [B, D] on the window's scale; of quantiles, their integral over the level."""
    if kind == "quantiles":
        weights = torch.tensor(mean_weights(levels), dtype=raw.dtype, device=raw.device)
        return (quantiles(kind, raw, levels, centre, scale) * weights).sum(-1)
    if kind == "negative_binomial":
        counts, _ = _counts(raw, centre, scale)
        return ((counts - centre[:, None]) / scale[:, None]).to(raw.dtype)
    return raw[..., 0]


def student_quantile(level: Tensor, freedom: Tensor) -> Tensor:
    """The quantile of Student's t: Hill 1970, CACM algorithm 396; six digits from 2 degrees of freedom on."""
    n = freedom
    # the tail of both sides together
    p = 2 * torch.minimum(level, 1 - level)
    a = 1 / (n - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * torch.sqrt(a * math.pi / 2) * n
    y = (d * p) ** (2 / n)
    # near the middle the normal quantile, corrected
    x = torch.special.ndtri(p / 2)
    square = x**2
    low = torch.where(n < 5, c + 0.3 * (n - 4.5) * (x + 0.6), c)
    low = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + low
    near = (((((0.4 * square + 6.3) * square + 36) * square + 94.5) / low - square - 3) / b + 1) * x
    near = torch.expm1(a * near**2)
    far = ((1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)) * y - 1) * (n + 1) / (
        n + 2
    ) + 1 / y
    found = torch.sqrt(n * torch.where(y > a + 0.05, near, far))
    return torch.where(level == 0.5, torch.zeros_like(found), torch.sign(level - 0.5) * found)


def _student(raw: Tensor) -> tuple[Tensor, Tensor]:
    return functional.softplus(raw[..., 1]) + 1e-3, 2.1 + functional.softplus(raw[..., 2])


def _counts(raw: Tensor, centre: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    # a mean that bends to zero instead of crossing it, at the size of the window's own spread
    size = scale[:, None].to(raw.dtype)
    wanted = raw[..., 0] + (centre / scale)[:, None].to(raw.dtype)
    return functional.softplus(wanted) * size + 1e-4, functional.softplus(raw[..., 1]) + 1e-2


def _negative_binomial(mean: Tensor, shape: Tensor) -> torch.distributions.NegativeBinomial:
    # variance = mean + mean^2 / shape
    return torch.distributions.NegativeBinomial(shape, logits=(mean / shape).log())
