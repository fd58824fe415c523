"""Recordings that a small network learns in seconds: each letter is a tone of its own."""

import numpy as np

from karussell.data.augment import Augment
from karussell.data.features import FilterBank
from karussell.data.manifest import Utterance
from karussell.tasks import NetworkConfig, TranscriberConfig
from karussell.train import TrainConfig

RATE = 8000
TONES = {"a": 400.0, "b": 900.0, "c": 1700.0}

CONFIG = TranscriberConfig(
    features=FilterBank(bands=16),
    augment=Augment(tempo=0.1, warp=0, bend=0, noise=0, tilt_db=0, eq_db=0, reverb=0, frequency_masks=0, time_masks=0),
    network=NetworkConfig(channels=(8,), time_strides=(2,), band_strides=(2,), hidden=24, layers=1, dropout=0.0),
    train=TrainConfig(epochs=24, learning_rate=0.01, clip=1.0, device="cpu", validate_epochs=4, ema=0.9),
    batch_size=8,
)


def sound(text: str, chance: np.random.Generator) -> np.ndarray:
    """A tone of 0.2 to 0.3 s for each letter, a pause of 0.1 to 0.2 s around each."""
    pieces = [np.zeros(int(chance.uniform(0.1, 0.2) * RATE))]
    for letter in text:
        seconds = chance.uniform(0.2, 0.3)
        t = np.arange(int(seconds * RATE)) / RATE
        pieces += [0.3 * np.sin(2 * np.pi * TONES[letter] * t), np.zeros(int(chance.uniform(0.1, 0.2) * RATE))]
    samples = np.concatenate(pieces)
    return (samples + 0.003 * chance.standard_normal(len(samples))).astype(np.float32)


def tones(count: int, seed: int) -> list[Utterance]:
    chance = np.random.default_rng(seed)
    texts = ["".join(chance.choice(list(TONES), chance.integers(1, 6))) for _ in range(count)]
    return [Utterance(f"{seed}-{k}", sound(text, chance), text, rate=RATE) for k, text in enumerate(texts)]
