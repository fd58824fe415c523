"""What a forecast may not know: nothing after its origin, and no scale that looked there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from karussell.data.series import Series, SeriesSet
from karussell.data.series_step import Step
from karussell.tasks.forecast.config import ForecasterConfig, ForecastNetworkConfig, resolved
from karussell.tasks.forecast.facts import Facts
from karussell.tasks.forecast.windows import origins_of
from karussell.tasks.forecaster import Forecaster
from karussell.train import TrainConfig

CONFIG = ForecasterConfig(
    horizon=6,
    context=24,
    season=12,
    network=ForecastNetworkConfig(hidden=8),
    train=TrainConfig(epochs=1, device="cpu", prefetch=0, ema=0.0),
    batch_size=8,
    epoch_steps=3,
)


def some(length: int = 120, *, seed: int = 0, names: tuple[str, ...] = ("a", "b"), start: int = 0) -> SeriesSet:
    """Series with a season, with a covariate of each kind, as they are random."""
    chance = np.random.default_rng(seed)
    made = []
    for k, name in enumerate(names):
        values = 10 * (k + 1) + np.sin(np.arange(length) * np.pi / 6) + 0.3 * chance.standard_normal(length)
        known, past = chance.standard_normal((2, length + 6, 1)).astype(np.float32)
        made.append(Series(name, start, values, known, past[:length], ("red" if k else "blue",)))
    return SeriesSet(tuple(made), Step("number", 1), ("price",), ("seen",), ("colour",))


def untrained(data: SeriesSet) -> Forecaster:
    config = resolved(CONFIG, data)
    model = Forecaster(config, Facts.of(data, config))
    # every weight counts: none is zero as at the start
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for weight in model.network.parameters():
            torch.nn.init.normal_(weight, std=0.2)
    return model


def changed(data: SeriesSet, at: int, *, what: str) -> SeriesSet:
    """The set with noise in place of what lies after step `at`."""
    chance = np.random.default_rng(9)
    series = []
    for one in data.series:
        array = getattr(one, what).copy()
        array[at:] = 1000 * chance.standard_normal(array[at:].shape)
        series.append(replace(one, **{what: array}))
    return replace(data, series=tuple(series))


@pytest.mark.parametrize("what", ["values", "past"])
def test_noise_after_the_origin_changes_nothing_before(what: str) -> None:
    data = some()
    model = untrained(data)
    origin = 60
    origins = np.array([(k, at) for k in range(2) for at in range(24, origin + 1, 4)])
    before = model.forecast(model.windows(data), origins)
    noise = changed(data, origin, what=what)
    after = model.forecast(model.windows(noise), origins)
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(one, other)
    # the detector detects: an origin later, the noise is seen
    later = np.array([(0, origin + 1)])
    assert not np.array_equal(
        model.forecast(model.windows(data), later).mean, model.forecast(model.windows(noise), later).mean
    )


def test_a_covariate_known_in_advance_is_seen_over_the_horizon_and_no_further() -> None:
    data = some()
    model = untrained(data)
    origins = np.array([(0, 60)])
    before = model.forecast(model.windows(data), origins).mean
    beyond = model.forecast(model.windows(changed(data, 66, what="known")), origins).mean
    within = model.forecast(model.windows(changed(data, 65, what="known")), origins).mean
    assert np.array_equal(before, beyond)
    assert not np.array_equal(before, within)


def test_training_and_its_scales_never_look_at_the_validation_part(tmp_path: Path) -> None:
    whole = some()
    train, valid = whole.split([24, 24])
    noise = changed(valid, 0, what="values")
    noise = changed(noise, 0, what="past")
    models = [Forecaster.fit(train, part, tmp_path / name, CONFIG) for name, part in (("a", valid), ("b", noise))]
    one, other = (model.network.state_dict() for model in models)
    assert all(torch.equal(one[name], other[name]) for name in one)
    facts = [replace(model.facts, stretch=()) for model in models]
    assert facts[0] == facts[1] == Facts.of(train, models[0].config)
    # and of the whole they would have been others
    assert facts[0] != Facts.of(whole, models[0].config)


def test_every_training_window_lies_in_the_training_part() -> None:
    data = some()
    model = untrained(data)
    windows = model.windows(data).training()
    for epoch in range(3):
        series, origins = windows.drawn(np.random.default_rng(epoch), 500)
        assert (origins + CONFIG.horizon <= model.windows(data).lengths[series]).all()
        assert (origins >= windows.least).all()
    # all of them are reached, the first and the last too
    assert origins.min() < CONFIG.context
    assert origins.max() == 120 - CONFIG.horizon


def test_rolling_origins_stay_in_what_is_held_out() -> None:
    origins = origins_of(np.array([50, 20]), [20, 6], 6, stride=7)
    assert origins.tolist() == [[0, 30], [0, 37], [0, 44], [1, 14]]
    assert origins_of(np.array([50]), [5], 6).tolist() == []


def test_a_word_that_training_never_saw_stays_unknown() -> None:
    data = some()
    model = untrained(data)
    assert model.facts.covariates.attributes(("blue",)) == [1.0, 0.0]
    assert model.facts.covariates.attributes(("green",)) == [0.0, 0.0]


def test_what_is_scored_does_not_move_the_scale_of_a_new_series() -> None:
    data = some(names=("new", "newer"))
    model = untrained(some())
    held = [48, 48]
    before = model.scales(data, held)
    after = model.scales(changed(data, 120 - 48, what="values"), held)
    assert before == after
