"""Counting languages, 2001: a^n b^n, a^n b^m B^m A^n and a^n b^n c^n, learned from short strings."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from karussell.cells import LSTM, RNN, Cell
from karussell.data.problems import Sequences
from karussell.data.problems.languages import LANGUAGES, strings
from karussell.landmarks import modern
from karussell.landmarks.landmark import Arm, Claim, Landmark, Outcome, Picture, Rows, Trial, below, fails, succeeds
from karussell.landmarks.literal import LiteralLSTM, Shape
from karussell.landmarks.window import thinned

LONGEST = 1000
EVERY = 5000
Read = Callable[[Sequences], np.ndarray]


def counts(language: str, up_to: int) -> list[tuple[int, ...]]:
    """All counts of a training set: n up to a number; for two counts, n + m up to one more."""
    if language == "anbmBmAn":
        return [(n, m) for n in range(1, up_to + 1) for m in range(1, up_to + 2 - n)]
    return [(n,) for n in range(1, up_to + 1)]


def accepted(sequences: Sequences, y: np.ndarray) -> np.ndarray:
    """Which strings are accepted: at every step the symbols above 1/2 are exactly those that may follow."""
    wrong = ((y > 0.5) != (sequences.targets > 0.5)).any(1)
    return np.bincount(sequences.owner, wrong, len(sequences)) == 0


def generalises(read: Read, language: str, longest: int) -> int:
    """The largest n up to which every string is accepted; for two counts, the largest n + m."""
    two = language == "anbmBmAn"
    for total in range(2 if two else 1, longest + 1):
        made = strings(language, [(n, total - n) for n in range(1, total)] if two else [(total,)])
        if not accepted(made, read(made)).all():
            return total - 1
    return longest


def examined(
    trial: Trial, language: str, up_to: int, cap: int, step: Callable[[Sequences], object], read: Read
) -> Outcome:
    """Train on random strings of the set; every 5000, ask how far the net generalises once it accepts all of them.

    The value is the best answer of the run, as in the paper; 0 for a net that never accepts the training set.
    """
    rng = trial.rng(1, up_to)
    known = strings(language, counts(language, up_to))
    longest = trial.cap(60 if language == "anbmBmAn" else LONGEST, 12)
    learned, best, curve, seen = None, 0, [], 0
    every = trial.cap(EVERY, 100)
    while seen < trial.cap(cap, every) and best < longest:
        step(known.chosen(rng.integers(0, len(known), every)))
        seen += every
        far = generalises(read, language, longest) if accepted(known, read(known)).all() else 0
        learned = seen if learned is None and far else learned
        best = max(best, far)
        curve.append((float(seen), float(far)))
    measures = {"sequences to the training set": learned, "sequences": seen}
    return Outcome(best > 1.5 * up_to, learned is not None, float(best), measures, thinned(curve, 60))


def make(seed: int, language: str, rate: float, *, forget: bool = True) -> LiteralLSTM:
    """The net of 2001: one cell for one counter, two for more; peepholes, linear squashing, momentum 0.99."""
    letters = LANGUAGES[language] + 1
    blocks = 1 if language == "anbn" else 2
    shape = Shape(letters, blocks, 1, letters, forget_gate=forget, peepholes=True, shortcuts=True, feed_gates=False,
                  g="identity", h="identity")  # fmt: skip
    net = LiteralLSTM(shape, seed, rate=rate, momentum=0.99)
    net.set_bias("in", -1.0)
    net.set_bias("out", -2.0)
    if forget:
        net.set_bias("forget", 2.0)
    return net


def literal(trial: Trial, language: str, up_to: int, rate: float, cap: int) -> Outcome:
    """The net and the learning rule of 2001."""
    net = make(trial.seed, language, rate)
    return examined(trial, language, up_to, cap, net.run, partial(net.run, learn="never"))


def today(trial: Trial, cell: Cell, language: str, up_to: int, cap: int) -> Outcome:
    """Ten units, exact gradients, Adam."""
    letters = LANGUAGES[language] + 1
    net = modern.Net(cell, letters, 10, letters, trial.seed, gate_bias={"f": 2.0} if "f" in cell.gates else None)
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)

    def step(many: Sequences) -> None:
        for k in range(0, len(many), 25):
            batch = many.chosen(np.arange(k, min(k + 25, len(many)))).padded()
            due = torch.from_numpy(batch.due)
            loss = modern.penalty(net(torch.from_numpy(batch.x))[due], torch.from_numpy(batch.targets)[due], "binary")
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()

    return examined(trial, language, up_to, cap, step, lambda s: modern.read(net, s, "binary"))


def pictures(rows: Rows, smoke: bool) -> list[Picture]:  # noqa: ARG001 - the counter is seen afresh
    """The state of the one cell over a^n b^n, after training on n up to 10."""
    net, rng = make(0, "anbn", 1e-4), np.random.default_rng([0, 1, 10])
    known = strings("anbn", counts("anbn", 10))
    for _ in range(1 if smoke else 24):
        net.run(known.chosen(rng.integers(0, 10, EVERY)))
    curves = []
    for n in (5, 10, 14):
        states = net.trace(strings("anbn", [(n,)])).states[:, 0]
        curves.append((f"n = {n}", [float(k) for k in range(len(states))], [float(f"{v:.4g}") for v in states]))
    caption = "The state of the only cell while it reads S a...a b...b: it counts one way for a, the other way for b."
    return [Picture("The counter", "symbol of the string", curves, caption)]


LANDMARK = Landmark(
    "counting_languages",
    "Counting languages",
    "2001",
    "Gers & Schmidhuber, LSTM recurrent networks learn simple context-free and context-sensitive languages, "
    "IEEE Transactions on Neural Networks 12(6)",
    "LSTM learns to count from short strings and goes on counting far beyond them; the first recurrent net to learn a "
    "context-sensitive language.",
    "from memory, medium confidence: a^n b^n trained to n=10, 100 % of nets learn it, mean generalisation about "
    "118, best 1000; a^n b^n c^n trained to 10: 28, best 52; to 40: 120, best 500; a^n b^m B^m A^n (low confidence): "
    "n+m about 22 to 46",
    "largest n generalised to (n + m for two counts)",
    "accepts all strings up to more than 1.5 times the longest it was trained on: at every step the symbols above 1/2 "
    "are exactly the legal ones",
    (
        Arm(
            "a^n b^n to 10, literal, rate 1e-5",
            partial(literal, language="anbn", up_to=10, rate=1e-5, cap=5_000_000),
            published="118, best 1000",
        ),
        Arm(
            "a^n b^n to 10, literal",
            partial(literal, language="anbn", up_to=10, rate=1e-4, cap=400_000),
            published="118, best 1000",
        ),
        Arm("a^n b^n to 30, literal", partial(literal, language="anbn", up_to=30, rate=1e-4, cap=300_000)),
        Arm(
            "a^n b^n c^n to 10, literal",
            partial(literal, language="anbncn", up_to=10, rate=1e-4, cap=300_000),
            published="28, best 52",
        ),
        Arm(
            "a^n b^n c^n to 40, literal",
            partial(literal, language="anbncn", up_to=40, rate=1e-4, cap=300_000),
            published="120, best 500",
        ),
        Arm(
            "a^n b^m B^m A^n to 11, literal",
            partial(literal, language="anbmBmAn", up_to=11, rate=1e-4, cap=2_000_000),
            published="22 to 46",
        ),
        Arm("a^n b^n to 10, LSTM, Adam", partial(today, cell=LSTM, language="anbn", up_to=10, cap=100_000)),
        Arm(
            "a^n b^n to 10, plain RNN, Adam",
            partial(today, cell=RNN, language="anbn", up_to=10, cap=100_000),
            "control",
        ),
    ),
    (
        Claim("Every literal net learns a^n b^n", succeeds("a^n b^n to 10, literal", 1, loosely=True)),
        Claim("and most go beyond 1.5 times what they were shown", succeeds("a^n b^n to 10, literal")),
        Claim("At least half learn a^n b^n c^n", succeeds("a^n b^n c^n to 10, literal", loosely=True)),
        Claim("At least half learn a^n b^m B^m A^n", succeeds("a^n b^m B^m A^n to 11, literal", loosely=True)),
        Claim(
            "A plain recurrent net does not go beyond 1.5 times what it was shown",
            fails("a^n b^n to 10, plain RNN, Adam"),
        ),
        Claim(
            "and stays behind the LSTM trained alike",
            below("a^n b^n to 10, plain RNN, Adam", "a^n b^n to 10, LSTM, Adam"),
        ),
    ),
    reached="accepts all training strings",
    pictures=pictures,
)
