"""Windows over series: what a forecast may look at, on a scale of its own, and what came after it.

A window ends at an origin; its context are the steps before, its target the horizon from there on. Centre and scale
are those of the context alone: the mean of its last season (its last value without one), and its standard deviation.
So a series of any size and any later level is forecast by the same weights, and no scale knows the future.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from karussell.data.series import SeriesSet
from karussell.data.series_step import DAY, WEEK, YEAR, Step
from karussell.tasks.forecast.config import ForecasterConfig
from karussell.train import key

# share of training windows that begin before their series does, so that the network knows short ones
SHORT = 0.05
# what lies further from the centre, in standard deviations, is cut for the network
INPUT_LIMIT, TARGET_LIMIT = 20.0, 200.0


class Batch(NamedTuple):
    """Windows as the network gets them; L context steps, D of the horizon."""

    context: Tensor  # [B, L] on the window's scale, filled where missing
    there: Tensor  # [B, L] 1 where the value was there
    past: Tensor  # [B, L, K + P] calendar, known and past covariates of the context
    future: Tensor  # [B, D, K] calendar and known covariates of the horizon
    static: Tensor  # [B, S]
    target: Tensor  # [B, D] on the window's scale, nan where missing
    weight: Tensor  # [B] the window's scale in units of what errors are counted in
    centre: Tensor  # [B] float64
    scale: Tensor  # [B] float64


@dataclass(frozen=True)
class Calendar:
    """Which cycles of the calendar are told: those that the step divides and that the training data has seen twice."""

    periods: tuple[int, ...] = ()

    @classmethod
    def of(cls, data: SeriesSet) -> "Calendar":
        """The cycles for a training set."""
        if data.step.kind == "number":
            return cls()
        size = data.step.size if data.step.kind == "time" else data.step.size * YEAR // 12
        span = max(len(one) for one in data.series) * size
        # half a period is the shortest step that still has phases
        return cls(tuple(p for p in (DAY, WEEK, YEAR) if size <= p // 2 and span >= 2 * p))

    def __call__(self, step: Step, ticks: np.ndarray) -> np.ndarray:
        """Sine and cosine of each cycle [..., 2 * cycles] at ticks."""
        if not self.periods:
            return np.empty((*ticks.shape, 0), np.float32)
        nanoseconds = step.times(ticks.ravel()).astype(np.int64).reshape(ticks.shape)
        # 1970 began on a Thursday, which moves the phase of the week and matters to nobody
        phases = [(nanoseconds % period) * (2 * np.pi / period) for period in self.periods]
        return np.stack([f(phase) for phase in phases for f in (np.sin, np.cos)], -1).astype(np.float32)


@dataclass(frozen=True)
class Covariates:
    """Centre and spread of each covariate, and the words of static attributes, all from the training part."""

    known: tuple[tuple[float, float], ...] = ()
    past: tuple[tuple[float, float], ...] = ()
    static: tuple[tuple[float, float] | tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, data: SeriesSet) -> "Covariates":
        """Measured on a training set; of what is known in advance only the part that lies within the series."""
        known = [
            _spread(np.concatenate([one.known[: len(one), k] for one in data.series])) for k in range(len(data.known))
        ]
        past = [_spread(np.concatenate([one.past[:, k] for one in data.series])) for k in range(len(data.past))]
        static: list[tuple[float, float] | tuple[str, ...]] = []
        for k in range(len(data.static)):
            column = [one.static[k] for one in data.series]
            if any(isinstance(value, str) for value in column):
                static.append(tuple(sorted({str(value) for value in column})))
            else:
                static.append(_spread(np.array(column, dtype=np.float64)))
        return cls(tuple(known), tuple(past), tuple(static))

    @property
    def width(self) -> int:
        """Numbers that the static attributes become."""
        return sum(len(found) if isinstance(found[0], str) else 1 for found in self.static)

    def attributes(self, static: Sequence[str | float]) -> list[float]:
        """Static attributes as numbers; a word that training never saw is no word at all."""
        row: list[float] = []
        for value, found in zip(static, self.static, strict=True):
            if isinstance(found[0], str):
                row += [float(str(value) == word) for word in found]
            else:
                number = float(value) if not isinstance(value, str) else np.nan
                row.append(float(np.nan_to_num((number - found[0]) / float(found[1]))))
        return row


class Windows:
    """Every window of a set of series, by number of series and origin, as batches."""

    def __init__(
        self, data: SeriesSet, config: ForecasterConfig, calendar: Calendar, covariates: Covariates, *, relative: bool
    ) -> None:
        """`relative`: errors count relative to the level of the window, not to its spread."""
        self.data, self.config, self.relative = data, config, relative
        self._calendar = calendar
        self.lengths = np.array([len(one) for one in data.series])
        self._starts = np.array([one.start for one in data.series])
        self._offsets = np.concatenate([[0], np.cumsum(self.lengths)])
        self._values = np.concatenate([one.values for one in data.series])
        self._known = _scaled([one.known for one in data.series], covariates.known)
        self._known_lengths = np.array([len(one.known) for one in data.series])
        self._known_offsets = np.concatenate([[0], np.cumsum(self._known_lengths)])
        self._past = _scaled([one.past for one in data.series], covariates.past)
        self._static = np.array([covariates.attributes(one.static) for one in data.series], np.float32)

    def training(self) -> "Training":
        """The windows that lie in the data with their whole target."""
        return Training(self)

    def batch(self, series: np.ndarray, origins: np.ndarray) -> Batch:
        """The windows of series [B] at origins [B]."""
        steps, horizon = self.config.context, self.config.horizon
        places = origins[:, None] + np.arange(-steps, horizon)  # [B, L + D]
        values = _gather(self._values, self._offsets[series], self.lengths[series], places)
        context, target = values[:, :steps], values[:, steps:]
        there = np.isfinite(context)
        centre, scale = _centre_and_scale(context, self.config.season_seen)
        filled = filled_by_season(context, self.config.season_seen)
        z = np.nan_to_num((filled - centre[:, None]) / scale[:, None])
        aim = (target - centre[:, None]) / scale[:, None]
        unit = _level(context) if self.relative else scale
        ticks = self._starts[series][:, None] + self.data.step.size * places
        known = np.nan_to_num(
            _gather(self._known, self._known_offsets[series], self._known_lengths[series], places)
        ).reshape(len(series), steps + horizon, -1)
        ahead = np.concatenate([self._calendar(self.data.step, ticks), known], -1)
        past = np.nan_to_num(
            _gather(self._past, self._offsets[series], self.lengths[series], places[:, :steps])
        ).reshape(len(series), steps, -1)

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))

        return Batch(
            tensor(z.clip(-INPUT_LIMIT, INPUT_LIMIT)),
            tensor(there),
            tensor(np.concatenate([ahead[:, :steps], past], -1)),
            tensor(ahead[:, steps:]),
            tensor(self._static[series]),
            tensor(aim.clip(-TARGET_LIMIT, TARGET_LIMIT)),
            tensor(scale / unit),
            torch.from_numpy(centre),
            torch.from_numpy(scale),
        )


class Training:
    """Windows drawn at random, each origin as likely as the next; a pure function of seed, epoch and index."""

    def __init__(self, windows: Windows) -> None:
        config = windows.config
        self.windows = windows
        # origins with a whole context, and those with too little before them
        self.least = max(1, min(config.context, config.season_seen, config.horizon))
        whole = windows.lengths - config.horizon - config.context + 1
        short = np.minimum(windows.lengths - config.horizon, config.context - 1) - self.least + 1
        self._whole = np.concatenate([[0], np.cumsum(whole.clip(0))])
        self._short = np.concatenate([[0], np.cumsum(short.clip(0))])
        self.count = int(self._whole[-1] + self._short[-1])

    def epoch(self, epoch: int) -> "Drawn":
        """The batches of an epoch."""
        return Drawn(self, epoch)

    def drawn(self, chance: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Series [B] and origins [B]."""
        share = SHORT if self._whole[-1] else 1.0
        take_short = (chance.random(count) < share) & bool(self._short[-1])
        series, origins = np.zeros(count, np.int64), np.zeros(count, np.int64)
        for chosen, table, first in (
            (take_short, self._short, self.least),
            (~take_short, self._whole, self.windows.config.context),
        ):
            if chosen.any():
                number = chance.integers(table[-1], size=int(chosen.sum()))
                row = np.searchsorted(table, number, side="right") - 1
                series[chosen], origins[chosen] = row, number - table[row] + first
        return series, origins


@dataclass(frozen=True)
class Drawn(Sequence[Batch]):
    """The batches of one epoch, made when they are asked for."""

    training: Training
    epoch: int

    def __len__(self) -> int:
        return self.training.windows.config.epoch_steps

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        config = self.training.windows.config
        chance = np.random.default_rng(key(config.train.seed, self.epoch, index))
        return self.training.windows.batch(*self.training.drawn(chance, config.batch_size))


def origins_of(lengths: np.ndarray, held: Sequence[int], horizon: int, stride: int = 1) -> np.ndarray:
    """Rolling origins [N, 2] of (series, step): every `stride` steps through the last `held` values of each series."""
    rows = []
    for k, (length, count) in enumerate(zip(lengths.tolist(), held, strict=True)):
        first, last = length - count, length - horizon
        # the first step of a series has nothing before it
        rows += [(k, origin) for origin in range(max(first, 1), last + 1, stride)]
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def filled_by_season(context: np.ndarray, season: int) -> np.ndarray:
    """Context [B, L] with missing values taken from the season before, else the one after; the rest stays nan."""
    if np.isfinite(context).all():
        return context
    rows, steps = context.shape
    whole = -(-steps // season) * season
    padded = np.full((rows, whole), np.nan)
    padded[:, whole - steps :] = context
    grid = padded.reshape(rows, whole // season, season)
    for _ in range(2):
        # forwards, then the other way round
        place = np.where(np.isfinite(grid), np.arange(grid.shape[1])[:, None], -1)
        last = np.maximum.accumulate(place, axis=1)
        grid = np.where(last >= 0, np.take_along_axis(grid, last.clip(0), axis=1), np.nan)[:, ::-1]
    return grid.reshape(rows, whole)[:, whole - steps :]


def _centre_and_scale(context: np.ndarray, season: int) -> tuple[np.ndarray, np.ndarray]:
    there = np.isfinite(context)
    count = there.sum(1).clip(1)
    mean = np.where(there, context, 0).sum(1) / count
    spread = np.sqrt((np.where(there, context - mean[:, None], 0) ** 2).sum(1) / count)
    # the last season of values that are there
    recent = there & (there[:, ::-1].cumsum(1)[:, ::-1] <= season)
    centre = np.where(recent, context, 0).sum(1) / recent.sum(1).clip(1)
    scale = spread + 1e-3 * np.abs(centre)
    return centre, np.where(scale > 0, scale, 1.0)


def _level(context: np.ndarray) -> np.ndarray:
    there = np.isfinite(context)
    level = np.where(there, np.abs(context), 0).sum(1) / there.sum(1).clip(1)
    return np.where(level > 0, level, 1.0)


def _gather(flat: np.ndarray, offsets: np.ndarray, lengths: np.ndarray, places: np.ndarray) -> np.ndarray:
    inside = (places >= 0) & (places < lengths[:, None])
    if not len(flat):
        return np.full((*places.shape, *flat.shape[1:]), np.nan)
    found = flat[np.where(inside, offsets[:, None] + places, 0)]
    return np.where(inside.reshape(*inside.shape, *[1] * (flat.ndim - 1)), found, np.nan)


def _scaled(arrays: Sequence[np.ndarray], spreads: Sequence[tuple[float, float]]) -> np.ndarray:
    flat = np.concatenate(arrays).astype(np.float32)
    if not spreads:
        return flat
    centre, spread = np.array(spreads, dtype=np.float32).T
    return ((flat - centre) / spread).clip(-INPUT_LIMIT, INPUT_LIMIT)


def _spread(column: np.ndarray) -> tuple[float, float]:
    there = column[np.isfinite(column)].astype(np.float64)
    if not len(there):
        return 0.0, 1.0
    return float(there.mean()), float(there.std()) or 1.0
