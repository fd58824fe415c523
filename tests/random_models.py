"""Transcribers nobody trained: random weights, random batch statistics, and recordings to hear with them."""

import numpy as np
import torch

from karussell.data.features import FilterBank
from karussell.data.normalisation import Normalisation
from karussell.data.vocabulary import Vocabulary
from karussell.tasks import NetworkConfig, Transcriber, TranscriberConfig

RATE = 8000


def random_transcriber(
    *, causal: bool = False, layers: int = 1, context: int = 5, channels: int = 2, prior: float | None = 50.0,
    floor: float | None = -40.0, hidden: int = 12, unit: str = "character", rate: int = RATE, blank: int = 0,
) -> Transcriber:  # fmt: skip
    """A small one whose every number is drawn, with labels that change often."""
    network = NetworkConfig(
        channels=(4, 6)[:channels], time_strides=(2, 3)[:channels], band_strides=(2, 1)[:channels], context=context,
        hidden=hidden, layers=layers, dropout=0.0,
    )  # fmt: skip
    config = TranscriberConfig(
        features=FilterBank(rate=rate, bands=10), network=network, prior_frames=prior, floor_db=floor, causal=causal
    )
    symbols = ("a", "b", "ü", '"') if unit == "character" else ("one", "two", "three", "ßß")
    chance = np.random.default_rng(5)
    mean, std = chance.normal(8, 1, 10).astype(np.float32), chance.uniform(1, 2, 10).astype(np.float32)
    normalisation = Normalisation(mean, std, prior, floor, level=3000.0 if causal else None)
    model = Transcriber(config, Vocabulary(symbols, blank, unit), normalisation)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, tensor in model.network.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2, generator=generator)
            elif name.endswith("running_mean") or tensor.dim() == 1:
                tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.2)
            elif name == "out.weight":
                tensor.normal_(0, 2, generator=generator)
    return model


def recording(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Noise that swells and fades, with a tone that moves: something for every filter."""
    chance = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    swell = 0.02 + 0.2 * np.abs(np.sin(2 * np.pi * 1.3 * t))
    tone = np.sin(2 * np.pi * (300 + 900 * np.abs(np.sin(3 * t))) * t)
    return (swell * (0.3 * chance.standard_normal(len(t)) + tone)).clip(-1, 1).astype(np.float32)
