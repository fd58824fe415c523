"""Series in, forecasts out: one network for all series of a table, with quantiles over a direct horizon.

model = Forecaster.fit(train, None, Path("runs/sales"), ForecasterConfig(horizon=28))
model = Forecaster.load("runs/sales")
model.predict(data)      a pandas table: unique_id, ds, mean, q05, q10, ... q95
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from karussell.data.series import SeriesSet
from karussell.errors import InputError, require
from karussell.ops import watch
from karussell.tasks.config import from_json, to_json
from karussell.tasks.folder import CONFIG, WEIGHTS, read_parts, remove_run, write_parts
from karussell.tasks.forecast import heads, scores
from karussell.tasks.forecast.config import ForecasterConfig, resolved
from karussell.tasks.forecast.facts import Facts
from karussell.tasks.forecast.network import ForecastNetwork
from karussell.tasks.forecast.windows import Batch, Windows, origins_of
from karussell.tasks.sizes import fitting
from karussell.tasks.streams import ForecastStream
from karussell.tasks.task import Score
from karussell.tasks.transcriber import versions
from karussell.train import History, Progress, fit
from karussell.train.randomness import keyed

SERIES = "series.json"
# windows that choose the weights and calibrate, at most
CHECKED = 2048
_ROWS = 1024


class Forecast(NamedTuple):
    """Forecasts of windows: mean [N, D] and quantiles [N, D, Q], in the data's own units."""

    mean: np.ndarray
    quantiles: np.ndarray


class Forecaster:
    """Network and facts; made by `fit` or `load`, used by `predict` and `evaluate`."""

    task: ClassVar[str] = "forecast"

    def __init__(self, config: ForecasterConfig, facts: Facts) -> None:
        self.config, self.facts = config, facts
        with keyed(torch.device("cpu"), config.train.seed):
            self.network = ForecastNetwork(config, *facts.widths)
        self.network.eval()
        self.history: History | None = None

    @classmethod
    def fit(
        cls,
        train: SeriesSet,
        valid: SeriesSet | None,
        out: Path | str,
        config: ForecasterConfig | None = None,
        *,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Self:
        """Train on all series, keep the weights that are best on `valid`, and save the model in `out`.

        `valid` are rows that follow; without them the last tenth of each series is held out, at least one horizon.
        Scales, seasons and covariates are measured on what is left alone.
        """
        if valid is None:
            train, valid = held_out(train, config or ForecasterConfig())
        config = resolved(config or ForecasterConfig(), train)
        whole, held = train.followed_by(valid)
        model = cls(config, Facts.of(train, config))
        windows = model.windows(train).training()
        if not windows.count:
            raise InputError(
                f"no series has more than {config.horizon} steps to train on, the horizon; the longest has "
                f"{max(len(one) for one in train.series)}. Give longer series, or a shorter --horizon"
            )
        check = model.windows(whole)
        origins = origins_of(check.lengths, held, config.horizon)
        if not len(origins):
            raise InputError(
                f"the validation part holds no whole horizon of {config.horizon} steps; give more rows, or a shorter "
                "--horizon"
            )
        batches = _in_order(check, _evenly(origins, CHECKED))
        task = to_json(config)
        del task["train"]
        if overwrite:
            remove_run(Path(out))
            (Path(out) / SERIES).unlink(missing_ok=True)
        model.history = fit(
            model.network,
            model.loss,
            windows.epoch,
            lambda network: model.validate(network, batches),
            Path(out),
            config.train,
            meta={"task": task, "data": [train.digest, valid.digest]},
            progress=progress,
        )
        model.network.eval()
        model._calibrate(batches)
        model.save(out)
        return model

    def windows(self, data: SeriesSet) -> Windows:
        """The windows of a data set of the kind the model was trained on."""
        facts = self.facts
        if data.step != facts.step:
            raise InputError(
                f"the data has a step of {data.step.name}, and the model was trained on {facts.step.name}; resample it"
            )
        for kind, names in zip(("known", "past", "static"), facts.names, strict=True):
            if getattr(data, kind) != names:
                raise InputError(
                    f"the data has the {kind} covariates {list(getattr(data, kind))}, and the model was trained with "
                    f"{list(names)}; give the same columns"
                )
        return Windows(data, self.config, facts.calendar, facts.covariates, relative=facts.positive)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """The mean loss of a batch: pinball, or the negative log-likelihood of a distribution."""
        config = self.config
        return heads.loss(
            config.distribution,
            network(batch),
            batch.target,
            batch.weight,
            config.levels,
            batch.centre,
            batch.scale,
        )

    def validate(self, network: nn.Module, batches: Sequence[Batch]) -> dict[str, float]:
        """The loss (the score) over windows, each counting alike."""
        device = next(network.parameters()).device
        losses = [self.loss(network, _moved(batch, device)).item() * len(batch.target) for batch in batches]
        total = sum(losses) / sum(len(batch.target) for batch in batches)
        return {"score": total, "loss": total}

    @torch.no_grad()
    def forecast(self, windows: Windows, origins: np.ndarray) -> Forecast:
        """The forecasts from origins [N, 2] of (series, step)."""
        return self._forecast(_in_order(windows, origins), self.facts.stretch)

    @torch.no_grad()
    def forecast_batch(self, batch: Batch) -> Forecast:
        """The forecasts of windows that are there already."""
        return self._forecast([batch], self.facts.stretch)

    def predict(self, data: SeriesSet, /) -> Any:
        """The horizon after the end of each series, as a pandas table: unique_id, ds, mean, and a column a level.

        Series that training never saw are forecast by the same weights; one that is shorter than the context too.
        """
        pandas = require("pandas", extra="tables")
        windows = self.windows(data)
        horizon = self.config.horizon
        ends = np.stack([np.arange(len(data)), windows.lengths], 1)
        found = self.forecast(windows, ends)
        columns: dict[str, Any] = {
            "unique_id": np.repeat([one.id for one in data.series], horizon),
            "ds": np.concatenate([data.times(one, len(one), horizon) for one in data.series]),
            "mean": found.mean.ravel(),
        }
        for k, name in enumerate(level_names(self.config.levels)):
            columns[name] = found.quantiles[..., k].ravel()
        return pandas.DataFrame(columns)

    def stream(self) -> ForecastStream:
        """Forecasts while values come; see `karussell.tasks.streams.ForecastStream`."""
        return ForecastStream(self)

    def evaluate(self, data: SeriesSet, /, history: SeriesSet | None = None, *, stride: int = 1) -> dict[str, Any]:
        """Scores over rolling origins, every `stride` steps, beside the better of the two naive floors.

        With `history`, `data` are rows that follow it, and only those are forecast; without it all of `data` that has
        a whole context before it is. The scales of MSE and MASE are those of the training part where the model knows
        the series, and of what lies before the first origin where it does not.
        """
        whole, held = history.followed_by(data) if history is not None else (data, self._after_context(data))
        windows = self.windows(whole)
        origins = origins_of(windows.lengths, held, self.config.horizon, stride)
        if not len(origins):
            raise InputError(f"the data holds no whole horizon of {self.config.horizon} steps to score; give more rows")
        return self.score(whole, held, origins, self.forecast(windows, origins))

    def score(self, data: SeriesSet, held: Sequence[int], origins: np.ndarray, found: Forecast) -> dict[str, Any]:
        """The scores of forecasts that are there already."""
        config = self.config
        truth = scores.truth(data, origins, config.horizon, self.scales(data, held))
        median = found.quantiles[..., config.levels.index(0.5)]
        own = scores.errors(truth, median, found.mean)
        naive = {name: scores.errors(truth, values) for name, values in self.floors(data, origins).items()}
        shown = []
        for name, label in (("mase", "MASE"), ("smape", "sMAPE in per cent"), ("mse", "MSE"), ("mae", "MAE")):
            best = min(naive, key=lambda floor: naive[floor][name])
            if np.isfinite(own[name]):
                shown.append(Score(label, own[name], naive[best][name], best).to_json())
        return {
            "scores": shown,
            **own,
            "crps": scores.crps(truth, found.quantiles, config.levels),
            "coverage": scores.coverage(truth, found.quantiles, config.levels),
            "floors": naive,
            "windows": len(origins),
            "series": len(data),
        }

    def scales(self, data: SeriesSet, held: Sequence[int]) -> list[scores.Scale]:
        """The scales of the series: those of training, and of new series those of what lies before the last `held`."""
        season = self.config.season
        return [
            self.facts.scales.get(one.id) or scores.Scale.of(one.values[: len(one) - count], season)
            for one, count in zip(data.series, held, strict=True)
        ]

    def floors(self, data: SeriesSet, origins: np.ndarray) -> dict[str, np.ndarray]:
        """What needs no learning, by name: forecasts [N, D] from origins [N, 2]."""
        config = self.config
        found = {"repeating the last value": scores.naive(data, origins, config.horizon, 1, config.context)}
        if config.season > 1:
            name = f"seasonal naive, {config.season} steps"
            found[name] = scores.naive(data, origins, config.horizon, config.season, config.context)
        return found

    def save(self, folder: Path | str) -> None:
        """Write weights, configuration and what is known of the series; `load` reads them on any machine."""
        config = {
            "config": to_json(self.config),
            "facts": self.facts.to_json(),
            "versions": versions(),
            "engines": self._engines(),
        }
        parts = {SERIES: self.facts.scales_json()}
        write_parts(Path(folder), self.task, self.network.state_dict(), config, parts)

    @classmethod
    def load(cls, folder: Path | str, *, device: str = "cpu") -> Self:
        """Read a model folder; InputError names the file in it that is missing, cut short or of another task."""
        folder = Path(folder)
        tensors, content, parts = read_parts(folder, cls.task, (SERIES,))
        try:
            config = from_json(ForecasterConfig, content["config"])
            facts = Facts.from_json(content["facts"], parts[SERIES])
            if len(facts.stretch) not in (0, len(config.levels)):
                raise ValueError(f"there are {len(facts.stretch)} stretches for {len(config.levels)} levels")
            shape = config.network
            counts = {"horizon": config.horizon, "context": config.context, "season": config.season_seen}
            counts |= {"hidden": shape.hidden, "layers": shape.layers, "patch": shape.patch}
            fitting(folder, tensors, counts, lambda: ForecastNetwork(config, *facts.widths))
            model = cls(config, facts)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"'{folder / CONFIG}' is of no forecaster ({error}); copy the folder again") from error
        try:
            model.network.load_state_dict(tensors)
        except RuntimeError as error:
            raise InputError(
                f"'{folder / WEIGHTS}' does not fit the network of '{folder / CONFIG}'; copy the folder again"
            ) from error
        model.network.to(device)
        return model

    def _after_context(self, data: SeriesSet) -> list[int]:
        return [max(0, len(one) - self.config.context) for one in data.series]

    def _forecast(self, batches: Sequence[Batch], stretch: Sequence[float]) -> Forecast:
        config, device = self.config, next(self.network.parameters()).device
        means, found = [], []
        for batch in batches:
            raw = self.network(_moved(batch, device)).cpu()
            given = (config.distribution, raw, config.levels, batch.centre, batch.scale)
            centre, scale = batch.centre[:, None], batch.scale[:, None]
            means.append((heads.mean(*given).double() * scale + centre).numpy())
            found.append((heads.quantiles(*given).double() * scale[..., None] + centre[..., None]).numpy())
        mean, quantiles = np.concatenate(means), np.concatenate(found)
        if stretch:
            middle = quantiles[..., config.levels.index(0.5)][..., None]
            # levels that were stretched past one another stand in order again
            quantiles = np.sort(middle + (quantiles - middle) * np.array(stretch), axis=-1)
        if self.facts.positive:
            mean, quantiles = mean.clip(min=0), quantiles.clip(min=0)
        return Forecast(mean, quantiles)

    @torch.no_grad()
    def _calibrate(self, batches: Sequence[Batch]) -> None:
        """Stretch each quantile about the median so that its share of validation values lies below it.

        The network has seen its training windows, so that its quantiles are too narrow for new ones. This is split
        conformal prediction by a factor a level: Romano et al. 2019, arXiv 1905.03222, with a ratio for their score.
        """
        levels = self.config.levels
        quantiles = self._forecast(batches, ()).quantiles
        target = np.concatenate([(b.target.double() * b.scale[:, None] + b.centre[:, None]).numpy() for b in batches])
        median = quantiles[..., levels.index(0.5)]
        there = np.isfinite(target)
        stretch = []
        for k, level in enumerate(levels):
            gap = (quantiles[..., k] - median)[there]
            ratio = ((target - median)[there])[np.abs(gap) > 0] / gap[np.abs(gap) > 0]
            if level == 0.5 or not len(ratio):
                stretch.append(1.0)
                continue
            # below the median the gap is negative, and a smaller value has a larger ratio
            found = float(np.quantile(ratio, level if level > 0.5 else 1 - level))
            stretch.append(max(found, 0.0))
        self.facts = dataclasses.replace(self.facts, stretch=tuple(stretch))

    @torch.no_grad()
    def _engines(self) -> list[str]:
        """What runs the recurrences of this network on this machine."""
        past, future, static = self.facts.widths
        config, device = self.config, next(self.network.parameters()).device
        batch = Batch(
            torch.zeros(1, config.context),
            torch.ones(1, config.context),
            torch.zeros(1, config.context, past),
            torch.zeros(1, config.horizon, future),
            torch.zeros(1, static),
            torch.zeros(1, config.horizon),
            *(torch.ones(1) for _ in range(3)),
        )
        with watch() as ran:
            self.network(_moved(batch, device))
        return sorted({engine.value for engine in ran})


def level_names(levels: Sequence[float]) -> list[str]:
    """The columns of quantiles: q05 for the level 0.05, q025 for 0.025."""
    return [f"q{f'{level:.6f}'[2:].rstrip('0'):0<2}" for level in levels]


def held_out(data: SeriesSet, config: ForecasterConfig) -> tuple[SeriesSet, SeriesSet]:
    """The end of each series set apart for validation: a share, at least a horizon, if a horizon and more is left."""
    horizon = resolved(config, data).horizon
    last = []
    for one in data.series:
        count = max(horizon, round(config.valid_share * len(one)))
        last.append(count if len(one) - count > horizon else 0)
    if not any(last):
        longest = max(len(one) for one in data.series)
        raise InputError(
            f"the longest series has {longest} steps, which is too short to train on and to validate with a horizon of "
            f"{horizon}; give at least {2 * horizon + 1} steps, or a shorter --horizon"
        )
    return data.split(last)


def _evenly(origins: np.ndarray, most: int) -> np.ndarray:
    return origins[:: -(-len(origins) // most)]


def _in_order(windows: Windows, origins: np.ndarray) -> Sequence[Batch]:
    parts = [origins[first : first + _ROWS] for first in range(0, len(origins), _ROWS)]
    return _Lazy(windows, parts)


@dataclasses.dataclass(frozen=True)
class _Lazy(Sequence[Batch]):
    windows: Windows
    parts: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        part = self.parts[index]
        return self.windows.batch(part[:, 0], part[:, 1])


def _moved(batch: Batch, device: torch.device) -> Batch:
    return Batch(*(tensor.to(device) for tensor in batch))
