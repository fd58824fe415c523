"""What makes a tagger; a value that goes to JSON and back, and what it is for given data by default."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from karussell.data.labelled import Example, channels
from karussell.errors import InputError
from karussell.tasks.sequences.encoder import EncoderConfig
from karussell.tasks.sequences.inputs import InputConfig
from karussell.train import TrainConfig

# tokens, and steps of measurements, that a training goes through, repeats included
SEEN = {"tokens": 2_500_000, "values": 1_100_000}


@dataclass(frozen=True)
class TaggerConfig:
    """All settings of a tagger, each in the dataclass of what it sets."""

    inputs: InputConfig = field(default_factory=lambda: InputConfig(steps=False, own=False))
    """What is made of measurements and tokens."""
    network: EncoderConfig = field(default_factory=EncoderConfig)
    """The shape of the network below the random field."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained."""
    batch_size: int = 16
    """Sequences a batch."""
    word_dropout: float = 0.25
    """How often words become unknown in training: a word seen n times with probability a / (a + n)."""
    valid_share: float = 0.1
    """Share of the sequences that is held out where no validation set is given."""

    def __post_init__(self) -> None:
        if self.network.halvings:
            raise InputError(f"network.halvings is {self.network.halvings}; a tagger answers at every step, so it is 0")
        if self.batch_size < 1 or self.word_dropout < 0 or not 0 < self.valid_share < 1:
            raise InputError(
                f"batch_size is {self.batch_size}, word_dropout {self.word_dropout}, valid_share {self.valid_share}; "
                "they must be 1 or larger, 0 (off) or larger, and between 0 and 1"
            )


def defaults(train: Sequence[Example]) -> TaggerConfig:
    """The settings for measurements, or those for tokens; only the number of epochs follows from the data."""
    values = bool(train and channels(train[0]))
    steps = sum(example.steps for example in train)
    seen = SEEN["values" if values else "tokens"]
    # a few epochs for much data, never so many that a small set is learned by heart
    epochs = min(16, max(4, round(seen / max(1, steps))))
    trained = TrainConfig(epochs=epochs, learning_rate=3e-3, final=0.01, clip=2.0, ema=0.995)
    if values:
        network = EncoderConfig(words=25, letters=0, channels=(64,), widths=(3, 7, 13), hidden=96, dropout=0.4)
        return TaggerConfig(network=network, train=trained, batch_size=8)
    network = EncoderConfig(words=100, letters=25, hidden=128, layers=1, dropout=0.5)
    return TaggerConfig(network=network, train=trained, batch_size=32)
