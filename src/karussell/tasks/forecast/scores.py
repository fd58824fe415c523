"""How good forecasts are, and what needs no learning: seasonal naive, repeating the last value.

    MSE    mean of (y - mean)^2 / s^2, s the standard deviation of the series in the training part: the error of
           standardised values, as long-horizon benchmarks count it
    MAE    mean of |y - median| / s
    sMAPE  mean of 200 |y - median| / (|y| + |median|), in per cent; M4's
    MASE   mean of |y - median| / d, d the mean |y_t - y_(t-m)| of the training part, m the season (Hyndman and Koehler
           2006); series whose d is zero do not count
    CRPS   mean over the levels of the pinball loss, over s
    coverage of an interval: the share of values within its quantiles

A value that is missing counts nowhere. Means are over all values of all windows, but sMAPE and MASE are means over
series first, as M4 has them, where every series has one window; with more they are means over windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from karussell.data.series import Series, SeriesSet
from karussell.tasks.forecast.windows import filled_by_season


@dataclass(frozen=True)
class Scale:
    """Spread and seasonal change of a series in its training part; what is zero there is 1 for the spread."""

    spread: float
    change: float

    @classmethod
    def of(cls, values: np.ndarray, season: int) -> "Scale":
        """Of values [T], nan where missing."""
        there = values[np.isfinite(values)]
        spread = float(there.std()) if len(there) else 0.0
        change = np.abs(values[season:] - values[:-season]) if len(values) > season else np.empty(0)
        change = change[np.isfinite(change)]
        return cls(spread if spread > 0 else 1.0, float(change.mean()) if len(change) else 0.0)


@dataclass(frozen=True)
class Truth:
    """The windows that are scored: origins [N, 2] of (series, step), targets [N, D], scales of their series [N]."""

    origins: np.ndarray
    target: np.ndarray
    spread: np.ndarray
    change: np.ndarray


def truth(data: SeriesSet, origins: np.ndarray, horizon: int, scales: Sequence[Scale]) -> Truth:
    """What came after each origin."""
    target = np.stack([data.series[k].values[at : at + horizon] for k, at in origins.tolist()])
    spread = np.array([scales[k].spread for k, _ in origins.tolist()])
    change = np.array([scales[k].change for k, _ in origins.tolist()])
    return Truth(origins, target, spread, change)


def errors(found: Truth, median: np.ndarray, mean: np.ndarray | None = None) -> dict[str, float]:
    """MSE, MAE, sMAPE and MASE of point forecasts [N, D]; squares are taken of the mean, if there is one."""
    y = found.target
    error = np.abs(y - median)
    total = np.abs(y) + np.abs(median)
    squares = (y - (median if mean is None else mean)) ** 2
    relative = np.where(total > 0, 200 * error / np.where(total > 0, total, 1), np.where(np.isnan(y), np.nan, 0.0))
    sound = found.change > 0
    return {
        "mse": _mean(squares / found.spread[:, None] ** 2),
        "mae": _mean(error / found.spread[:, None]),
        "smape": _mean(_rows(relative)),
        "mase": _mean(_rows(error[sound] / found.change[sound, None])),
    }


def crps(found: Truth, quantiles: np.ndarray, levels: Sequence[float]) -> float:
    """The mean pinball loss of quantiles [N, D, Q], over the spread of the series."""
    level = np.array(levels)
    error = found.target[..., None] - quantiles
    loss = 2 * np.maximum(level * error, (level - 1) * error)
    return _mean(loss.mean(-1) / found.spread[:, None])


def coverage(found: Truth, quantiles: np.ndarray, levels: Sequence[float]) -> dict[str, float]:
    """The share of values at or below the quantile of each level, and within the intervals that pairs of them make."""
    there = np.isfinite(found.target)
    result = {}
    for k, level in enumerate(levels):
        result[f"below_{level:g}"] = float((found.target <= quantiles[..., k])[there].mean())
    for k, level in enumerate(levels):
        other = next((j for j, upper in enumerate(levels) if j > k and abs(level + upper - 1) < 1e-9), None)
        if other is not None:
            inside = (found.target >= quantiles[..., k]) & (found.target <= quantiles[..., other])
            result[f"inside_{levels[other] - level:.3g}"] = float(inside[there].mean())
    return result


def naive(data: SeriesSet, origins: np.ndarray, horizon: int, season: int, context: int = 0) -> np.ndarray:
    """The last season before each origin, over and over [N, D]; with season 1 the last value. Gaps are filled.

    `context` is how far back a filled gap may look, at least two seasons.
    """
    back = max(context, 2 * season)
    rows = []
    for k, at in origins.tolist():
        rows.append(_last_season(data.series[k], at, season, back))
    last = np.stack(rows)
    return np.take(last, np.arange(horizon) % season, axis=1)


def _last_season(one: Series, at: int, season: int, back: int) -> np.ndarray:
    before = one.values[max(0, at - back) : at]
    padded = np.full(back, np.nan)
    padded[back - len(before) :] = before
    last: np.ndarray = filled_by_season(padded[None], season)[0, -season:]
    # a phase that was never seen, or nothing at all: the last value there is
    there = one.values[:at][np.isfinite(one.values[:at])]
    return np.where(np.isfinite(last), last, there[-1] if len(there) else 0.0)


def _rows(values: np.ndarray) -> np.ndarray:
    there = np.isfinite(values)
    return np.where(there, values, 0).sum(1) / np.where(there.any(1), there.sum(1), np.nan)


def _mean(values: np.ndarray) -> float:
    there = np.isfinite(values)
    return float(values[there].mean()) if there.any() else float("nan")
