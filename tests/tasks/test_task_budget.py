"""A time budget for every task: the fit ends by it, and what is kept are the weights that validated best."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sequences import WAVES, WORDS, waves, words
from untrained import hours

from karussell.tasks.classifier import Classifier
from karussell.tasks.forecast.config import ForecasterConfig, ForecastNetworkConfig
from karussell.tasks.forecast.windows import origins_of
from karussell.tasks.forecaster import Forecaster
from karussell.tasks.tagger import Tagger
from karussell.train import TrainConfig

# a run that would last for hours
LONG = {"epochs": 100_000, "budget": 1.5, "validate_epochs": 2}


def classify(out: Path) -> tuple[Any, float]:
    model = Classifier.fit(waves(24, 1), waves(12, 2), out, replace(WAVES, train=replace(WAVES.train, **LONG)))
    # the score is the error before the probabilities were calibrated
    model.temperature = 1.0
    return model, 1 - model.evaluate(waves(12, 2))["scores"][0]["value"]


def tag(out: Path) -> tuple[Any, float]:
    model = Tagger.fit(words(24, 1), words(8, 2), out, replace(WORDS, train=replace(WORDS.train, **LONG)))
    return model, 1 - model.evaluate(words(8, 2))["scores"][0]["value"]


def forecast(out: Path) -> tuple[Any, float]:
    settings = TrainConfig(**LONG, device="cpu", prefetch=0, threads=1)
    config = ForecasterConfig(horizon=6, context=24, network=ForecastNetworkConfig(hidden=8), train=settings)
    train, valid = hours().split([48])
    model = Forecaster.fit(train, valid, out, replace(config, batch_size=8, epoch_steps=5))
    whole, held = train.followed_by(valid)
    windows = model.windows(whole)
    origins = origins_of(windows.lengths, held, 6)
    return model, model.validate(model.network, [windows.batch(origins[:, 0], origins[:, 1])])["loss"]


@pytest.mark.parametrize("task", [classify, tag, forecast])
def test_a_budget_ends_the_fit_with_the_best_weights(task: Callable[[Path], tuple[Any, float]], tmp_path: Path) -> None:
    began = time.monotonic()
    model, score = task(tmp_path / "model")
    history = model.history
    assert history.stopped == "the time budget of 1.5 s is used up"
    assert history.seconds < time.monotonic() - began
    scores = [row["valid_score"] for row in history.rows if "valid_score" in row]
    assert history.best == min(scores)
    # the network that is left, and that was saved, is the one that had this score
    assert score == pytest.approx(history.best, rel=1e-4, abs=1e-6)
    assert (tmp_path / "model" / "model.safetensors").exists()
