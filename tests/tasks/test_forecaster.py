"""The forecaster from a table to forecasts: trained in seconds, saved, loaded, given rows and series it never saw."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from karussell.data.series_read import read_series
from karussell.data.series_table import Table
from karussell.errors import InputError
from karussell.tasks.forecast.config import ForecasterConfig, ForecastNetworkConfig
from karussell.tasks.forecast.reporting import train_forecaster
from karussell.tasks.forecaster import Forecaster
from karussell.train import TrainConfig

pandas = pytest.importorskip("pandas", reason="forecasts are tables of pandas")

CONFIG = ForecasterConfig(
    horizon=12,
    context=48,
    network=ForecastNetworkConfig(hidden=12),
    train=TrainConfig(epochs=3, learning_rate=5e-3, device="cpu", prefetch=0, ema=0.9),
    batch_size=32,
    epoch_steps=15,
)


def table(length: int = 400, names: tuple[str, ...] = ("north", "south", "east"), seed: int = 0) -> "pandas.DataFrame":
    """Hourly series with a day in them, each at a level of its own."""
    chance = np.random.default_rng(seed)
    times = pandas.date_range("2026-01-01", periods=length, freq="h")
    parts = []
    for k, name in enumerate(names):
        y = 10 ** (k + 1) * (3 + np.sin(np.arange(length) * np.pi / 12 + k) + 0.1 * chance.standard_normal(length))
        parts.append(pandas.DataFrame({"unique_id": name, "ds": times, "y": y}))
    return pandas.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("forecast") / "model"
    train_forecaster(read_series(table())[0], None, out, CONFIG, title="Three winds")
    return out


@pytest.fixture(scope="module")
def model(folder: Path) -> Forecaster:
    return Forecaster.load(folder)


def test_the_folder_is_whole_and_the_floor_stands_beside_every_score(folder: Path) -> None:
    import json

    names = {path.name for path in folder.iterdir()}
    assert names == {"model.safetensors", "config.json", "series.json", "metrics.jsonl", "report.html", "result.json"}
    result = json.loads((folder / "result.json").read_text())
    assert result["task"] == "forecast"
    assert all({"value", "floor", "floor_name"} <= score.keys() for score in result["valid"]["scores"])
    # the day is easily learned: what repeats the last value has no chance
    assert result["valid"]["mse"] < 0.5 * result["valid"]["floors"]["repeating the last value"]["mse"]
    page = (folder / "report.html").read_text()
    for word in ("Three winds", "Forecasts over truth", "Calibration", "Error along the horizon", "<svg"):
        assert word in page


def test_the_calibrated_interval_holds_on_the_windows_it_was_calibrated_on(folder: Path) -> None:
    import json

    share = json.loads((folder / "result.json").read_text())["valid"]["coverage"]["inside_0.8"]
    assert share == pytest.approx(0.8, abs=0.02)


def test_forecasts_are_a_documented_table(model: Forecaster) -> None:
    found = model.predict(read_series(table())[0])
    assert list(found.columns) == ["unique_id", "ds", "mean", "q05", "q10", "q25", "q50", "q75", "q90", "q95"]
    assert len(found) == 3 * 12
    assert str(found.ds[0]) == str(pandas.Timestamp("2026-01-01") + pandas.Timedelta(hours=400))
    quantiles = found.iloc[:, 3:].to_numpy()
    assert (np.diff(quantiles, axis=1) >= 0).all()
    # nothing was negative in training, so nothing is forecast to be
    assert (quantiles >= 0).all()


def test_loading_gives_the_same_forecasts(folder: Path, model: Forecaster, tmp_path: Path) -> None:
    data = read_series(table())[0]
    model.save(tmp_path / "copy")
    again = Forecaster.load(tmp_path / "copy")
    assert again.facts == model.facts
    assert again.config == model.config
    pandas.testing.assert_frame_equal(model.predict(data), again.predict(data))
    (tmp_path / "copy" / "series.json").write_text("{}")
    with pytest.raises(InputError, match=r"series\.json' is not the file that config.json names"):
        Forecaster.load(tmp_path / "copy")


def test_new_rows_and_new_series_need_no_refit(model: Forecaster) -> None:
    data = read_series(table(names=("west",), seed=5))[0]
    found = model.predict(data)
    assert set(found.unique_id) == {"west"}
    # scale and level of a series come from its own context: ten times the series is ten times the forecast
    loud = table(names=("west",), seed=5)
    loud["y"] *= 10
    louder = model.predict(read_series(loud)[0])
    assert louder["q50"].to_numpy() == pytest.approx(10 * found["q50"].to_numpy(), rel=1e-4)


@pytest.mark.parametrize("rows", [1, 2, 30])
def test_a_series_shorter_than_the_context_is_forecast(model: Forecaster, rows: int) -> None:
    data = read_series(table().iloc[:rows], Table(freq="h"))[0]
    assert np.isfinite(model.predict(data).iloc[:, 2:].to_numpy()).all()


def test_constant_and_gappy_series_are_forecast(model: Forecaster) -> None:
    flat = table(names=("flat",))
    flat["y"] = 7.0
    found = model.predict(read_series(flat)[0])
    assert found["q50"].to_numpy() == pytest.approx(7, rel=0.05)
    zero = flat.assign(y=0.0)
    assert np.isfinite(model.predict(read_series(zero)[0]).iloc[:, 2:].to_numpy()).all()
    gaps = table().drop(index=np.random.default_rng(0).choice(np.arange(5, 390), 150, replace=False))
    assert np.isfinite(model.predict(read_series(gaps)[0]).iloc[:, 2:].to_numpy()).all()


def test_rolling_origins_go_through_the_new_rows_alone(model: Forecaster) -> None:
    whole = read_series(table(500))[0]
    early, late = whole.split([100] * 3)
    found = model.evaluate(late, history=early, stride=8)
    assert found["windows"] == 3 * len(range(0, 100 - 12 + 1, 8))
    assert found["series"] == 3
    with pytest.raises(InputError, match="holds no whole horizon of 12 steps"):
        model.evaluate(whole.split([5] * 3)[1], history=early)


def test_data_of_another_kind_is_refused(model: Forecaster, tmp_path: Path) -> None:
    daily = table(60)
    daily["ds"] = list(pandas.date_range("2026-01-01", periods=60, freq="D")) * 3
    with pytest.raises(InputError, match="a step of D, and the model was trained on h"):
        model.predict(read_series(daily)[0])
    with pytest.raises(InputError, match=r"the known covariates \['price'\], and the model was trained with \[\]"):
        model.predict(read_series(table().assign(price=1.0), Table(known=("price",)))[0])
    with pytest.raises(InputError, match=r"no series has more than 12 steps|is too short to train on"):
        Forecaster.fit(read_series(table(14))[0], None, tmp_path / "short", CONFIG)
    assert not (tmp_path / "short").exists()


def test_a_constant_series_can_be_trained_on(tmp_path: Path) -> None:
    short = replace(CONFIG, train=replace(CONFIG.train, epochs=1), epoch_steps=2)
    flat = table(120).assign(y=3.0)
    model = Forecaster.fit(read_series(flat)[0], None, tmp_path / "flat", short)
    assert model.predict(read_series(flat)[0])["q50"].to_numpy() == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize("kind", ["gaussian", "student_t", "negative_binomial"])
def test_distributions_train_and_forecast(kind: str, tmp_path: Path) -> None:
    short = replace(CONFIG, distribution=kind, train=replace(CONFIG.train, epochs=1), epoch_steps=4)
    counts = table(200)
    counts["y"] = counts["y"].round()
    model = Forecaster.fit(read_series(counts)[0], None, tmp_path / kind, short)
    found = model.predict(read_series(counts)[0])
    assert np.isfinite(found.iloc[:, 2:].to_numpy()).all()
    assert (np.diff(found.iloc[:, 3:].to_numpy(), axis=1) >= 0).all()


def test_covariates_are_learned_from(tmp_path: Path) -> None:
    """What a price known in advance does to a series is forecast for the future that carries it."""
    chance = np.random.default_rng(3)
    length = 400
    price = (chance.random(length + 12) < 0.5).astype(float)
    y = 10 + 5 * price + 0.1 * chance.standard_normal(length + 12)
    frame = pandas.DataFrame({"ds": np.arange(length + 12), "y": y, "price": price})
    frame.loc[length:, "y"] = np.nan
    data, _, _ = read_series(frame, Table(known=("price",)))
    learning = replace(CONFIG, horizon=4, context=8, season=1, epoch_steps=40)
    model = Forecaster.fit(data, None, tmp_path / "price", learning)
    found = model.predict(data)["q50"].to_numpy()
    # whoever does not know the price is wrong by 2.5 on average
    assert np.abs(found - y[length : length + 4]).mean() < 1.5
