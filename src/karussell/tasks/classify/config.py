"""What makes a classifier; a value that goes to JSON and back, and what it is for given data by default."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from karussell.data.labelled import Example, channels
from karussell.errors import InputError
from karussell.tasks.sequences.encoder import EncoderConfig
from karussell.tasks.sequences.inputs import InputConfig
from karussell.tasks.sequences.vary import Vary
from karussell.train import TrainConfig

# optimiser steps of a training; of series fewer where there are few
STEPS = {"series": 1200, "tokens": 800}
FEW = 4
# steps of a sequence that are left to the LSTM, unless convolutions are told otherwise
LEFT = 50


@dataclass(frozen=True)
class ClassifierConfig:
    """All settings of a classifier, each in the dataclass of what it sets."""

    inputs: InputConfig = field(default_factory=InputConfig)
    """What is made of measurements and tokens."""
    vary: Vary = field(default_factory=Vary)
    """How training series are varied."""
    network: EncoderConfig = field(default_factory=EncoderConfig)
    """The shape of one network."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained."""
    batch_size: int = 16
    """Sequences a batch."""
    members: int = 3
    """Networks trained side by side, whose probabilities are averaged."""
    smoothing: float = 0.1
    """Share of the target that is spread over all labels."""
    weights: Literal["none", "balanced"] = "none"
    """Whether every sequence counts the same, or every label as much as every other."""
    word_dropout: float = 0.25
    """How often words become unknown in training: a word seen n times with probability a / (a + n)."""

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.members < 1:
            raise InputError(
                f"batch_size is {self.batch_size} and members {self.members}; both must be 1 or larger, "
                "and without a validation set members must be 2 or larger"
            )
        if not 0 <= self.smoothing < 1 or self.word_dropout < 0:
            raise InputError(
                f"smoothing is {self.smoothing} and word_dropout {self.word_dropout}; smoothing must lie in [0, 1), "
                "word_dropout must be 0 (off) or larger"
            )


def defaults(train: Sequence[Example]) -> ClassifierConfig:
    """The settings for series, or those for tokens; only the number of epochs and of halvings follows from the data."""
    tokens = bool(train and train[0].columns)
    size = 16 if len(train) < 1000 else 32 if len(train) < 4000 else 64
    steps = STEPS["tokens"] if tokens else min(STEPS["series"], max(STEPS["series"] // 2, FEW * len(train)))
    epochs = max(2, round(steps / max(1, -(-len(train) // size))))
    trained = TrainConfig(
        epochs=epochs,
        learning_rate=3e-3,
        final=0.001,
        clip=5.0,
        ema=0.99,
        validate_epochs=max(1, epochs // 5),
    )
    if tokens:
        network = EncoderConfig(hidden=100, letters=25, dropout=0.5)
        return ClassifierConfig(network=network, train=trained, batch_size=size)
    network = EncoderConfig(channels=(48, 72, 72), widths=(5, 9, 17), hidden=48, dropout=0.3, halvings=None)
    return ClassifierConfig(network=network, train=trained, batch_size=size)


def settled(config: ClassifierConfig, train: Sequence[Example]) -> ClassifierConfig:
    """The settings with nothing left open: the halvings of time that bring the longest half of `train` to 50 steps."""
    if config.network.halvings is not None:
        return config
    steps = sorted(example.steps for example in train)[len(train) // 2]
    halvings = 0
    while channels(train[0]) and steps > LEFT and halvings < len(config.network.channels):
        steps, halvings = (steps + 1) // 2, halvings + 1
    return replace(config, network=replace(config.network, halvings=halvings))
