"""A forecaster as C: compiled as C99 with every warning an error, it gives the model's forecasts."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))

from test_c import COMPILER, FLAGS, needs_compiler
from untrained import forecaster, hours

from karussell.data.series import Series, SeriesSet
from karussell.errors import InputError
from karussell.serve.c_forecaster import emit_forecaster
from karussell.tasks.forecaster import Forecaster

MAIN = """
#include <stdio.h>
#include "model.c"
static m_state state;
static float values[1 << 16], past[1 << 16], future[1 << 16], fixed[1 << 10], quantiles[1 << 16], mean[1 << 12];
static int get(float *to) {
    int count = 0;
    if (fread(&count, sizeof count, 1, stdin) != 1) return -1;
    return fread(to, sizeof(float), (size_t)count, stdin) == (size_t)count ? count : -1;
}
int main(void) {
    int count, k;
    while ((count = get(values)) >= 0) {
        if (get(past) < 0 || get(future) < 0 || get(fixed) < 0) return 2;
        k = m_forecast(&state, values, count, past, future, fixed, quantiles, mean);
        printf("%d", k);
        for (k = 0; k < HORIZON * LEVELS; k++) printf(" %.9g", (double)quantiles[k]);
        for (k = 0; k < HORIZON; k++) printf(" %.9g", (double)mean[k]);
        printf("\\n");
    }
    return 0;
}
"""


def compiled(model: Forecaster, folder: Path) -> Path:
    (folder / "model.c").write_text(emit_forecaster(model, "m"))
    (folder / "main.c").write_text(MAIN)
    sizes = [f"-DHORIZON={model.config.horizon}", f"-DLEVELS={len(model.config.levels)}"]
    command = [str(COMPILER), *FLAGS, *sizes, "-O1", str(folder / "main.c"), "-o", str(folder / "run"), "-lm"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return folder / "run"


def said(program: Path, *parts: np.ndarray) -> list[float]:
    parts = tuple(np.asarray(part) for part in parts)
    data = b"".join(np.int32(part.size).tobytes() + part.astype(np.float32).tobytes() for part in parts)
    run = subprocess.run([program], input=data, capture_output=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return [float(word) for word in run.stdout.split()]


def gaps(data: SeriesSet) -> SeriesSet:
    from dataclasses import replace

    values = data.series[0].values.copy()
    values[[3, 5, 6, 7, 60, 61, 95, 118, 119]] = np.nan
    return replace(data, series=(replace(data.series[0], values=values),))


@needs_compiler
@pytest.mark.parametrize("layers", [1, 2])
def test_the_forecasts_are_the_models(layers: int, tmp_path: Path) -> None:
    model = forecaster(layers=layers)
    program, config = compiled(model, tmp_path), model.config
    for data in (hours(120), gaps(hours(120)), hours(120, seed=4)):
        for origin in (120, 119, 70, 20, 2):
            batch = model.windows(data).batch(np.array([0]), np.array([origin]))
            values = data.series[0].values[:origin]
            status, *found = said(program, values, batch.past[0], batch.future[0], batch.static[0])
            expected = model.forecast_batch(batch)
            assert status == 0
            wanted = [*expected.quantiles.ravel(), *expected.mean.ravel()]
            assert len(wanted) == config.horizon * (len(config.levels) + 1)
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@needs_compiler
def test_values_alone_and_no_value(tmp_path: Path) -> None:
    from dataclasses import replace

    from karussell.data.series_step import Step
    from karussell.tasks.forecast.config import ForecasterConfig, ForecastNetworkConfig, resolved
    from karussell.tasks.forecast.facts import Facts

    chance = np.random.default_rng(0)
    one = Series("one", 0, chance.standard_normal(60), np.empty((60, 0)), np.empty((60, 0)))
    data = SeriesSet((one,), Step.named("1"))
    config = resolved(ForecasterConfig(horizon=5, context=20, network=ForecastNetworkConfig(hidden=8)), data)
    model = Forecaster(config, replace(Facts.of(data, config), stretch=(3.0, 0.1, 1.0, 1.0, 1.0, 0.2, 2.0)))
    program, nothing = compiled(model, tmp_path), np.empty(0)
    [batch] = [model.windows(data).batch(np.array([0]), np.array([60]))]
    status, *found = said(program, one.values, nothing, nothing, nothing)
    expected = model.forecast_batch(batch)
    np.testing.assert_allclose(found, [*expected.quantiles.ravel(), *expected.mean.ravel()], rtol=1e-4, atol=1e-4)
    assert status == 0
    assert said(program, np.full(30, np.nan), nothing, nothing, nothing)[0] == -1
    assert said(program, nothing, nothing, nothing, nothing)[0] == -1


def test_refusals() -> None:
    with pytest.raises(InputError, match="--distribution quantiles"):
        emit_forecaster(forecaster("student_t"))
    with pytest.raises(InputError, match="no name for C functions"):
        emit_forecaster(forecaster(), "7")
    assert "malloc" not in emit_forecaster(forecaster())
