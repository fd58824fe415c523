"""Heads, scores, windows and settings of the forecaster, each against its equation."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from karussell.data.series import Series, SeriesSet
from karussell.data.series_read import read_series
from karussell.data.series_step import DAY, WEEK, YEAR, Step
from karussell.errors import InputError
from karussell.tasks.forecast import heads, scores
from karussell.tasks.forecast.config import ForecasterConfig, found_seasons, resolved
from karussell.tasks.forecast.windows import Calendar, Covariates, Windows, filled_by_season
from karussell.tasks.forecaster import level_names

LEVELS = (0.1, 0.25, 0.5, 0.9)
SHARED = Path(__file__).parents[3] / "shared" / "data" / "series.zip"


def numbered(*values: object, step: Step | None = None) -> SeriesSet:
    series = [
        Series(
            f"s{k}",
            0,
            np.array(v, dtype=np.float64),
            np.empty((len(v), 0), np.float32),
            np.empty((len(v), 0), np.float32),
        )
        for k, v in enumerate(values)
    ]
    return SeriesSet(tuple(series), step or Step("number", 1))


def test_the_pinball_loss_is_its_equation() -> None:
    y, q = torch.tensor([3.0]), torch.tensor([[1.0, 2.0, 3.5, 4.0]])
    found = heads.pinball(q, y, LEVELS)[0]
    error = [3 - float(value) for value in q[0]]
    wanted = [2 * max(level * e, (level - 1) * e) for level, e in zip(LEVELS, error, strict=True)]
    assert found.tolist() == pytest.approx(wanted)


@pytest.mark.parametrize("kind", ["quantiles", "gaussian", "student_t", "negative_binomial"])
def test_quantiles_rise_and_missing_targets_count_nothing(kind: heads.Kind) -> None:
    torch.manual_seed(0)
    raw = (2 * torch.randn(3, 5, heads.width(kind, LEVELS))).requires_grad_()
    centre, scale = torch.tensor([5.0, 50, 7], dtype=torch.float64), torch.tensor([1.0, 9, 2], dtype=torch.float64)
    found = heads.quantiles(kind, raw, LEVELS, centre, scale)
    assert found.shape == (3, 5, 4)
    assert (found.diff(dim=-1) >= 0).all()
    target = torch.randn(3, 5)
    target[1] = math.nan
    loss = heads.loss(kind, raw, target, torch.ones(3), LEVELS, centre, scale)
    loss.backward()
    assert math.isfinite(loss.item())
    assert (raw.grad[1] == 0).all()
    assert torch.isfinite(raw.grad).all()
    assert raw.grad[0].abs().sum() > 0
    assert torch.isfinite(heads.mean(kind, raw, LEVELS, centre, scale)).all()


def test_likelihoods_are_those_of_torch() -> None:
    torch.manual_seed(0)
    one, none = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    y = torch.randn(2, 3)
    raw = torch.randn(2, 3, 2)
    sd = torch.nn.functional.softplus(raw[..., 1]) + 1e-3
    wanted = -torch.distributions.Normal(raw[..., 0], sd).log_prob(y).mean()
    assert heads.loss("gaussian", raw, y, torch.ones(2), LEVELS, none, one).item() == pytest.approx(
        wanted.item(), rel=1e-5
    )
    quantile = heads.quantiles("gaussian", raw, LEVELS, none, one)
    below = torch.distributions.Normal(raw[..., 0, None], sd[..., None]).cdf(quantile)
    assert torch.allclose(below, torch.tensor(LEVELS).expand_as(below), atol=1e-5)


@pytest.mark.parametrize(
    ("freedom", "level", "value"),
    # printed tables of Student's t
    [
        (3, 0.9, 1.6377),
        (5, 0.95, 2.0150),
        (10, 0.975, 2.2281),
        (30, 0.25, -0.6828),
        (2.5, 0.5, 0.0),
        (120, 0.995, 2.6174),
    ],
)
def test_the_quantile_of_students_t(freedom: float, level: float, value: float) -> None:
    found = heads.student_quantile(torch.tensor(level, dtype=torch.float64), torch.tensor(freedom, dtype=torch.float64))
    assert found.item() == pytest.approx(value, abs=2e-4)


def test_the_mean_of_quantiles_is_their_integral() -> None:
    centre, scale = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    levels = (0.25, 0.5, 0.75)
    raw = torch.zeros(1, 1, 3)
    q = heads.quantiles("quantiles", raw, levels, centre, scale)[0, 0]
    # bounds of the levels: 0, 0.375, 0.625, 1
    wanted = 0.375 * q[0] + 0.25 * q[1] + 0.375 * q[2]
    assert heads.mean("quantiles", raw, levels, centre, scale).item() == pytest.approx(wanted.item())


def test_scores_are_their_equations() -> None:
    data = numbered([1, 2, 3, 4, 5, 6, 8, np.nan], [0, 0, 0, 0, 0, 0, 5, 5])
    origins = np.array([[0, 6], [1, 6]])
    scales = [scores.Scale.of(one.values[:6], 2) for one in data.series]
    assert scales[0] == scores.Scale(pytest.approx(np.std([1, 2, 3, 4, 5, 6])), 2.0)
    assert scales[1] == scores.Scale(1.0, 0.0)
    truth = scores.truth(data, origins, 2, scales)
    median = np.array([[7.0, 7], [4, 6]])
    found = scores.errors(truth, median)
    spread = scales[0].spread
    assert found["mse"] == pytest.approx(np.mean([1 / spread**2, 1, 1]))
    assert found["mae"] == pytest.approx(np.mean([1 / spread, 1, 1]))
    # a mean a window, then over windows
    assert found["smape"] == pytest.approx(np.mean([200 / 15, np.mean([200 / 9, 200 / 11])]))
    # the constant series has no seasonal change and does not count
    assert found["mase"] == pytest.approx(0.5)
    quantiles = np.stack([median - 2, median, median + 2], -1)
    inside = scores.coverage(truth, quantiles, (0.1, 0.5, 0.9))
    assert inside["inside_0.8"] == 1.0
    assert inside["below_0.5"] == pytest.approx(1 / 3)
    assert scores.naive(data, origins, 3, 2).tolist() == [[5, 6, 5], [0, 0, 0]]
    assert scores.naive(data, origins, 2, 1).tolist() == [[6, 6], [0, 0]]


def test_gaps_are_filled_by_the_season_before() -> None:
    row = np.array([[1.0, 2, np.nan, np.nan, 3, 4, np.nan]])
    assert filled_by_season(row, 2).tolist() == [[1, 2, 1, 2, 3, 4, 3]]
    begin = np.array([[np.nan, np.nan, np.nan, 5.0]])
    assert np.nan_to_num(filled_by_season(begin, 2), nan=-1).tolist() == [[-1, 5, -1, 5]]


def test_a_window_is_on_a_scale_of_its_own() -> None:
    values = np.random.default_rng(0).standard_normal(40) + 3
    config = ForecasterConfig(horizon=4, context=12, season=6, epoch_steps=1)
    batches = []
    for factor, offset in ((1, 0), (1e9, 7e9), (1e-9, 0)):
        data = numbered(values * factor + offset)
        batches.append(
            Windows(data, config, Calendar(), Covariates(), relative=False).batch(np.array([0]), np.array([20]))
        )
    context = values[8:20]
    centre = context[-6:].mean()
    scale = context.std() + 1e-3 * abs(centre)
    assert batches[0].context[0].numpy() == pytest.approx((context - centre) / scale, abs=1e-5)
    assert batches[0].target[0].numpy() == pytest.approx((values[20:24] - centre) / scale, abs=1e-5)
    assert torch.allclose(batches[2].context, batches[0].context, atol=1e-4)
    assert batches[1].context.std() == pytest.approx(batches[0].context.std().item(), rel=0.02)


def test_the_calendar_tells_what_the_step_divides_and_training_saw_twice() -> None:
    hour = Step.named("h")
    assert Calendar.of(numbered(range(24 * 15), step=hour)).periods == (DAY, WEEK)
    assert Calendar.of(numbered(range(24 * 10), step=hour)).periods == (DAY,)
    assert Calendar.of(numbered(range(120), step=Step.named("W"))).periods == (YEAR,)
    assert Calendar.of(numbered(range(60), step=Step.named("W"))).periods == ()
    assert Calendar.of(numbered(range(60), step=Step.named("MS"))).periods == (YEAR,)
    assert Calendar.of(numbered(range(500))).periods == ()
    told = Calendar((DAY,))(hour, np.array([0, 6, 12]) * hour.size)
    assert told == pytest.approx(np.array([[0, 1], [1, 0], [0, -1]]), abs=1e-6)


def test_settings_follow_from_the_series() -> None:
    time = np.arange(1200)
    daily = numbered(np.sin(time * np.pi / 12) + 0.6 * np.sin(time * np.pi / 84) ** 8)
    assert found_seasons([one.values for one in daily.series])[0] == 24
    config = resolved(ForecasterConfig(), daily)
    assert (config.season, config.horizon) == (24, 24)
    hourly = resolved(ForecasterConfig(horizon=48), numbered(time, step=Step.named("h")))
    assert (hourly.season, hourly.context, hourly.network.patch) == (24, 336, 24)
    short = resolved(ForecasterConfig(), numbered(range(20)))
    assert short.horizon + 2 * short.context <= 21
    assert found_seasons([np.random.default_rng(0).standard_normal(500)]) == ()
    assert found_seasons([np.ones(500)]) == ()
    for wrong in ({"horizon": -1}, {"levels": (0.0,)}, {"valid_share": 1.0}, {"batch_size": 0}):
        with pytest.raises(InputError):
            ForecasterConfig(**wrong)


def test_the_names_of_levels() -> None:
    assert level_names((0.025, 0.05, 0.1, 0.5, 0.975)) == ["q025", "q05", "q10", "q50", "q975"]


@pytest.mark.skipif(not SHARED.exists(), reason="needs series.zip (M4 hourly, ETTh1) beside the clone")
def test_the_floors_are_the_published_ones() -> None:
    """Seasonal naive on M4 hourly: sMAPE 13.912, MASE 1.193. Repeat on ETTh1, 96 steps: MSE 1.294, MAE 0.713."""
    pandas = pytest.importorskip("pandas", reason="tables of series need pandas")
    import zipfile

    with zipfile.ZipFile(SHARED) as files:
        ett = pandas.read_csv(files.open(next(name for name in files.namelist() if name.endswith("ETTh1.csv"))))
        train, test = (
            pandas.read_csv(files.open(next(name for name in files.namelist() if name.endswith(f"Hourly-{part}.csv"))))
            for part in ("train", "test")
        )
    whole, _, _ = read_series(ett.iloc[:14400])
    origins = np.array([(k, at) for k in range(7) for at in range(11520, 14400 - 96 + 1)])
    scales = [scores.Scale.of(one.values[:8640], 24) for one in whole.series]
    truth = scores.truth(whole, origins, 96, scales)
    found = scores.errors(truth, scores.naive(whole, origins, 96, 1))
    assert (round(found["mse"], 3), round(found["mae"], 3)) == (1.294, 0.713)
    rows = [row.dropna().to_numpy(float) for _, row in train.iloc[:, 1:].iterrows()]
    joined = numbered(
        *(np.concatenate([row, after]) for row, after in zip(rows, test.iloc[:, 1:].to_numpy(), strict=True))
    )
    ends = np.array([(k, len(row)) for k, row in enumerate(rows)])
    truth = scores.truth(joined, ends, 48, [scores.Scale.of(row, 24) for row in rows])
    found = scores.errors(truth, scores.naive(joined, ends, 48, 24))
    assert (round(found["smape"], 3), round(found["mase"], 3)) == (13.912, 1.193)
