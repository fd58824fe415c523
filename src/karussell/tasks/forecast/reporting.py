"""The report of a forecaster, and all of its training from series to a finished folder."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from karussell.data.series import SeriesSet
from karussell.report.forecast import Fan, ForecastReport, forecast_page
from karussell.report.measures import Measure
from karussell.report.plots import Panel, curve
from karussell.tasks.config import to_json
from karussell.tasks.forecast import scores
from karussell.tasks.forecast.config import ForecasterConfig
from karussell.tasks.forecast.windows import origins_of
from karussell.tasks.forecaster import Forecast, Forecaster, held_out
from karussell.tasks.task import complete
from karussell.train import Progress

# fans that are drawn, and how many horizons of history before them
FANS, HISTORY = 6, 3
# windows that are scored for the report, at most
WINDOWS = 20_000


def train_forecaster(
    train: SeriesSet,
    valid: SeriesSet | None,
    out: Path | str,
    config: ForecasterConfig | None = None,
    *,
    title: str = "",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train on series, measure on `valid` or on the end that is held out, leave the folder; gives its result.json."""
    started = time.monotonic()
    out = Path(out)
    notes = train.notes + (valid.notes if valid is not None else ())
    if valid is None:
        train, valid = held_out(train, config or ForecasterConfig())
    model = Forecaster.fit(train, valid, out, config, overwrite=overwrite, progress=progress)
    whole, held = train.followed_by(valid)
    windows = model.windows(whole)
    origins = origins_of(windows.lengths, held, model.config.horizon)
    origins = origins[:: -(-len(origins) // WINDOWS)]
    found = model.forecast(windows, origins)
    evaluation = model.score(whole, held, origins, found)
    page = forecaster_page(model, whole, held, origins, found, evaluation, title=title or out.name, notes=notes)
    return complete(model, out, evaluation, page, total=time.monotonic() - started, notes=notes)


def forecaster_page(
    model: Forecaster,
    data: SeriesSet,
    held: Sequence[int],
    origins: np.ndarray,
    found: Forecast,
    evaluation: dict[str, Any],
    *,
    title: str,
    notes: Sequence[str] = (),
) -> str:
    """One HTML file about forecasts from origins [N, 2] of `data`, whose last `held` values they are scored on."""
    config = model.config
    levels = [(level, evaluation["coverage"][f"below_{level:g}"]) for level in config.levels]
    step = "a number" if model.facts.step.kind == "number" else model.facts.step.words
    return forecast_page(
        ForecastReport(
            title=title,
            summary=f"{len(data):,} series, {config.horizon} steps ahead from {config.context} steps back; a step is "
            f"{step}. {len(origins):,} forecasts of values that were not trained on.",
            facts=_facts(model),
            measures=tuple(_measure(values) for values in evaluation["scores"]),
            notes=tuple(notes),
            panels=_panels(model),
            fans=_fans(model, data, held, origins, found),
            coverage=tuple(levels),
            by_step=_by_step(model, data, held, origins, found),
            config=to_json(config),
        )
    )


def _facts(model: Forecaster) -> tuple[tuple[str, str], ...]:
    rows = [("Weights", f"{sum(weight.numel() for weight in model.network.parameters()):,}")]
    if model.history is not None:
        rows += [("Trained in", f"{model.history.seconds:.0f} s"), ("Steps", f"{model.history.steps:,}")]
    config = model.config
    return (*rows, ("Season", str(config.season)), ("Steps a patch", str(config.network.patch)))


def _measure(values: dict[str, Any]) -> Measure:
    return Measure(**{name: values[name] for name in Measure.__dataclass_fields__ if name in values}, data="held out")


def _panels(model: Forecaster) -> tuple[Panel, ...]:
    history = model.history
    if history is None:
        return ()
    best = [row["epoch"] for row in history.rows if row["step"] == history.best_step and "valid_score" in row]
    lines = (
        curve(history.rows, "epoch", "loss", "training"),
        curve(history.rows, "epoch", "valid_loss", "validation"),
    )
    # a likelihood may be negative, and within a decade a plain axis is read more easily
    found = [value for line in lines for value in line.y]
    wide = bool(found) and min(found) > 0 and max(found) > 20 * min(found)
    return (Panel("Loss", lines, log=wide, mark=float(best[-1]) if best else None),)


def _fans(
    model: Forecaster, data: SeriesSet, held: Sequence[int], origins: np.ndarray, found: Forecast
) -> tuple[Fan, ...]:
    """Forecasts of typical series, from their last origin; and the worst, which is more to learn from."""
    median = found.quantiles[..., model.config.levels.index(0.5)]
    target = np.stack([data.series[k].values[at : at + model.config.horizon] for k, at in origins.tolist()])
    spread = np.array([scale.spread for scale in model.scales(data, held)])
    there = np.isfinite(target)
    error = np.where(there, np.abs(target - median), 0).sum(1) / there.sum(1).clip(1) / spread[origins[:, 0]]
    last = {int(k): row for row, k in enumerate(origins[:, 0].tolist())}
    rows = list(last.values())
    # spread evenly over the series by their error
    ordered = sorted(rows, key=lambda row: (float(error[row]), row))
    picked = [ordered[round(place)] for place in np.linspace(0, len(ordered) - 1, min(FANS - 1, len(ordered))).tolist()]
    notes = {int(error.argmax()): "The largest error of all."}
    chosen = list(dict.fromkeys([*picked, *notes]))
    fans = []
    for row in chosen:
        k, at = origins[row].tolist()
        one = data.series[k]
        [origin] = data.times(one, at - 1, 1)
        back = min(at, max(HISTORY * model.config.horizon, model.config.season_seen))
        fans.append(
            Fan(
                one.id,
                _moment(origin),
                one.values[at - back : at],
                target[row],
                model.config.levels,
                found.quantiles[row],
                notes.get(row, ""),
            )
        )
    return tuple(fans)


def _moment(time: Any) -> str:
    if isinstance(time, np.datetime64):
        return str(time.astype("datetime64[m]")).replace("T", " ").removesuffix(" 00:00")
    return f"step {time}"


def _by_step(
    model: Forecaster, data: SeriesSet, held: Sequence[int], origins: np.ndarray, found: Forecast
) -> tuple[tuple[str, tuple[float, ...]], ...]:
    config = model.config
    truth = scores.truth(data, origins, config.horizon, model.scales(data, held))
    methods = {"forecaster": found.quantiles[..., config.levels.index(0.5)], **model.floors(data, origins)}
    rows = []
    for name, values in methods.items():
        error = np.abs(truth.target - values) / truth.spread[:, None]
        there = np.isfinite(error)
        mean = np.where(there, error, 0).sum(0) / there.sum(0).clip(1)
        rows.append((name, tuple(float(value) for value in mean)))
    return tuple(rows)
