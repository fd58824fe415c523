"""A classifier, a tagger and a forecaster nobody trained: random weights, made in a moment."""

import numpy as np
import torch
from sequences import QUESTIONS, WAVES, WORDS, measured, questions, waves, words

from karussell.data.series import Series, SeriesSet
from karussell.data.series_step import Step
from karussell.tasks.classifier import Classifier
from karussell.tasks.classify.config import settled
from karussell.tasks.classify.floor import Floor
from karussell.tasks.forecast.config import ForecasterConfig, ForecastNetworkConfig, resolved
from karussell.tasks.forecast.facts import Facts
from karussell.tasks.forecaster import Forecaster
from karussell.tasks.sequences.inputs import Inputs
from karussell.tasks.tag.floor import Floor as TagFloor
from karussell.tasks.tagger import Tagger


def shaken(network: torch.nn.Module) -> None:
    """Numbers that no initial value hides."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2, generator=generator)
            elif tensor.is_floating_point():
                tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.2)


def classifier(*, spelled: bool = False, channels: int = 1) -> Classifier:
    examples = questions(12, 0) if spelled else waves(12, 0, channels=channels)
    config = settled(QUESTIONS if spelled else WAVES, examples)
    made = Classifier(config, Inputs.fit(examples, config.inputs), sorted({str(e.label) for e in examples}))
    made.floor, made.temperature = Floor.fit(examples), 1.3
    shaken(made.network)
    return made


def tagger(*, spelled: bool = True) -> Tagger:
    examples = words(12, 0) if spelled else measured(12, 0)
    labels = sorted({tag for e in examples for tag in e.tags or ()})
    made = Tagger(WORDS, Inputs.fit(examples, WORDS.inputs), labels)
    made.floor = TagFloor.fit(examples)
    shaken(made.network)
    return made


def hours(length: int = 300, seed: int = 0) -> SeriesSet:
    """Hourly values with a day in them, one covariate known in advance and one seen with them."""
    chance, time = np.random.default_rng(seed), np.arange(length)
    values = 50 + 10 * np.sin(2 * np.pi * time / 24) + chance.standard_normal(length)
    known, past = chance.standard_normal((length + 24, 1)), chance.standard_normal((length, 1))
    one = Series("one", 0, values, known, past, ("red",))
    return SeriesSet((one,), Step.named("h"), ("plan",), ("seen",), ("colour",))


def forecaster(distribution: str = "quantiles", layers: int = 1) -> Forecaster:
    data = hours()
    network = ForecastNetworkConfig(hidden=12, layers=layers)
    asked = ForecasterConfig(horizon=10, context=50, distribution=distribution, network=network)  # type: ignore[arg-type]
    config = resolved(asked, data)
    made = Forecaster(config, Facts.of(data, config))
    shaken(made.network)
    return made
