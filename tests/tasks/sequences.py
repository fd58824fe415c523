"""Small problems for classifiers and taggers: waves of three kinds, questions, and words whose label needs context."""

import numpy as np

from karussell.data.labelled import Example
from karussell.tasks.classify.config import ClassifierConfig
from karussell.tasks.sequences.encoder import EncoderConfig
from karussell.tasks.tag.config import TaggerConfig
from karussell.train import TrainConfig

TRAIN = TrainConfig(
    epochs=12,
    learning_rate=1e-2,
    ema=0.9,
    validate_epochs=4,
    threads=1,
    prefetch=0,
    device="cpu",
    checkpoint_seconds=600,
)
WAVES = ClassifierConfig(
    network=EncoderConfig(channels=(12,), widths=(3, 7), hidden=8, dropout=0.1, halvings=None),
    train=TRAIN,
    batch_size=8,
    members=2,
)
QUESTIONS = ClassifierConfig(
    network=EncoderConfig(words=12, letters=6, hidden=8, dropout=0.2), train=TRAIN, batch_size=8, members=2
)
WORDS = TaggerConfig(
    network=EncoderConfig(words=12, columns=4, letters=6, hidden=12, dropout=0.1), train=TRAIN, batch_size=8
)


def waves(count: int, seed: int, *, channels: int = 1) -> list[Example]:
    """Sines, squares and noise of 20 to 30 steps."""
    rng = np.random.default_rng(seed)
    made = []
    for k in range(count):
        time = np.arange(rng.integers(20, 31)) + rng.uniform(0, 8)
        sine = np.sin(2 * np.pi * time / 8)
        row = {"sine": sine, "square": np.sign(sine), "noise": rng.normal(size=len(time))}
        label = ("noise", "sine", "square")[k % 3]
        values = np.stack([row[label] + 0.1 * rng.normal(size=len(time)) for _ in range(channels)], 1)
        made.append(Example(f"wave {seed}-{k}", values, label=label))
    return made


def questions(count: int, seed: int) -> list[Example]:
    """Who and where, among words that say nothing."""
    rng = np.random.default_rng(seed)
    made = []
    for k in range(count):
        label = ("person", "place")[k % 2]
        filler = [f"w{n}" for n in rng.integers(0, 20, rng.integers(1, 5))]
        words = [{"person": "Who", "place": "Where"}[label], *filler, "?"]
        made.append(Example(f"question {seed}-{k}", columns=(tuple(words),), label=label))
    return made


def words(count: int, seed: int) -> list[Example]:
    """A name after "to" is where one goes, after "from" where one comes from; the second column says so or not."""
    rng = np.random.default_rng(seed)
    names = [("Rome",), ("New", "York"), ("Oslo",), ("San", "Juan")]
    made = []
    for k in range(count):
        tokens: list[str] = ["fly"]
        tags = ["O"]
        for way in rng.permutation(["to", "from"]).tolist():
            name = names[int(rng.integers(len(names)))]
            tokens += [way, *name]
            tags += ["O", f"B-{way}", *[f"I-{way}"] * (len(name) - 1)]
        kinds = tuple("N" if token[0].isupper() else "x" for token in tokens)
        made.append(Example(f"words {seed}-{k}", columns=(tuple(tokens), kinds), tags=tuple(tags)))
    return made


def measured(count: int, seed: int) -> list[Example]:
    """Two channels; a step is high or low by the sum of its neighbours."""
    rng = np.random.default_rng(seed)
    made = []
    for k in range(count):
        x = rng.normal(size=(12, 2))
        around = np.convolve(x.sum(1), np.ones(3), mode="same")
        made.append(Example(f"measured {seed}-{k}", x, tags=tuple("high" if s > 0 else "low" for s in around)))
    return made
