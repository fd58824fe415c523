"""What makes a forecaster; whatever is 0 or empty follows from the step, the horizon and the length of the series."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from karussell.data.series import SeriesSet
from karussell.data.series_table import Table
from karussell.errors import InputError
from karussell.train import TrainConfig

# a season longer than this is left to the calendar
LONGEST_SEASON = 200


@dataclass(frozen=True)
class ForecastNetworkConfig:
    """The shape of the network."""

    hidden: int = 128
    """Units of each LSTM."""
    layers: int = 1
    """Layers of each LSTM."""
    patch: int = 0
    """Time steps that the LSTM reads as one; 0: the season if four fit the context, else a twelfth of the context."""
    dropout: float = 0.1
    """Share of units that are dropped while training."""

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.layers < 1 or self.patch < 0:
            raise InputError(
                f"network: hidden is {self.hidden}, layers {self.layers} and patch {self.patch}; the first two must be "
                "1 or larger, the patch 0 or larger"
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"network.dropout is {self.dropout}; it must be 0 or larger and below 1")


@dataclass(frozen=True)
class ForecasterConfig:
    """All settings of a forecaster."""

    horizon: int = 0
    """Steps that are forecast; 0: one season, at most a quarter of the series, or 12."""
    context: int = 0
    """Steps that a forecast looks back; 0: twice the longest season up to 200 steps, at least twice the horizon."""
    season: int = 0
    """Steps of a season; 0: that of the step, such as 24 of hours, or what repeats most in numbered rows."""
    distribution: Literal["quantiles", "gaussian", "student_t", "negative_binomial"] = "quantiles"
    """What the network gives a step: quantiles, or the parameters of a distribution."""
    levels: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    """Levels of the quantiles that are given; the median is always among them."""
    table: Table = field(default_factory=Table)
    """Which column is what."""
    network: ForecastNetworkConfig = field(default_factory=ForecastNetworkConfig)
    """The shape of the network."""
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(epochs=20, learning_rate=2e-3, warmup=0.05, clip=1.0, log_steps=5)
    )
    """How it is trained."""
    batch_size: int = 256
    """Windows a batch."""
    epoch_steps: int = 0
    """Batches that count as one epoch; 0: as many as the windows fill, from 5 to 60."""
    valid_share: float = 0.1
    """Share of each series, at its end, that is held out to choose the weights where no validation data is given."""

    def __post_init__(self) -> None:
        for name in ("horizon", "context", "season"):
            if not 0 <= getattr(self, name) < 1 << 31:
                raise InputError(
                    f"{name} is {getattr(self, name)}; it must be a number of steps, or 0 to have it found"
                )
        if self.batch_size < 1 or self.epoch_steps < 0:
            raise InputError(
                f"batch_size is {self.batch_size} and epoch_steps {self.epoch_steps}; the first must be positive, the "
                "second 0 (found) or larger"
            )
        if not 0 < self.valid_share < 1:
            raise InputError(f"valid_share is {self.valid_share}; it must lie between 0 and 1")
        levels = tuple(sorted({*self.levels, 0.5}))
        if not 0 < levels[0] <= levels[-1] < 1:
            raise InputError(f"levels are {list(self.levels)}; each must lie between 0 and 1")
        object.__setattr__(self, "levels", levels)

    @property
    def season_seen(self) -> int:
        """The season if the context holds it twice, else 1."""
        return self.season if 1 < self.season <= self.context // 2 else 1


def resolved(config: ForecasterConfig, data: SeriesSet) -> ForecasterConfig:
    """The settings with every 0 replaced by what the training data says; nothing else is looked at."""
    lengths = sorted(len(one) for one in data.series)
    middle = lengths[len(lengths) // 2]
    seasons = data.step.seasons() if data.step.kind != "number" else found_seasons([one.values for one in data.series])
    season = config.season or (seasons or (1,))[0]
    horizon = config.horizon or max(1, min(season if 1 < season <= LONGEST_SEASON else 12, middle // 4))
    longest = max([m for m in (season, *seasons) if m <= LONGEST_SEASON], default=1)
    wanted = max(2 * longest, 2 * horizon, 16)
    # enough of the series must be left to learn from
    context = config.context or max(2, min(wanted, (middle - horizon) // 2))
    count = sum(max(0, length - horizon - context + 1) for length in lengths)
    epoch = config.epoch_steps or min(60, max(5, count // config.batch_size))
    whole = replace(config, horizon=horizon, context=context, season=season, epoch_steps=epoch)
    patch = config.network.patch or _patch(context, whole.season_seen)
    return replace(whole, network=replace(config.network, patch=min(patch, context)))


def _patch(context: int, season: int) -> int:
    if 4 <= season <= context // 4:
        return season
    wanted = max(1, round(context / 12))
    if season == 1:
        return wanted
    return min((k for k in range(1, season + 1) if season % k == 0), key=lambda k: abs(k - wanted))


def found_seasons(values: Sequence[np.ndarray], most: int = 50) -> tuple[int, ...]:
    """The lags up to 200 at which series repeat, by the mean autocorrelation of their differences; two at most.

    The first is the shortest peak above 0.3 that is three quarters as strong as the strongest; the second a multiple
    of it that is stronger than the multiples before and after it, as the week is among days.
    """
    longest = min(LONGEST_SEASON, max(len(one) for one in values) // 3)
    total, count = np.zeros(longest + 2), 0
    for one in values[:: -(-len(values) // most)]:
        change = np.nan_to_num(np.diff(one[-5000:]))
        change = change - change.mean() if len(change) else change
        power = float(change @ change)
        if len(change) < longest + 2 or power <= 0:
            continue
        # each lag over the pairs that it has
        pairs = len(change) - np.arange(1, longest + 2)
        sums = [float(change[lag:] @ change[:-lag]) for lag in range(1, longest + 2)]
        total[1:] += np.array(sums) / pairs * len(change) / power
        count += 1
    if not count or longest < 2:
        return ()
    mean = [float(value) for value in total / count]
    peaks = [k for k in range(2, longest + 1) if mean[k] > 0.3 and mean[k] >= max(mean[k - 1], mean[k + 1])]
    if not peaks:
        return ()
    season = next(k for k in peaks if mean[k] >= 0.75 * max(mean[peak] for peak in peaks))
    above = (
        [
            k
            for k in range(2 * season, longest + 1 - season, season)
            if mean[k] > 0.3 and mean[k] > max(mean[k - season], mean[k + season])
        ]
        if season > 2
        else []
    )
    return (season, max(above, key=lambda k: mean[k])) if above else (season,)
