"""The embedded Reber grammar, 1997, experiment 1: predict the next symbol; the last but one was fixed by the second."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from karussell.cells import LSTM, RNN, Cell
from karussell.data.problems import Sequences
from karussell.data.problems.reber import SYMBOLS, sets
from karussell.landmarks import modern
from karussell.landmarks.curves import learning
from karussell.landmarks.landmark import Arm, Claim, Landmark, Outcome, Trial, fails, near, succeeds
from karussell.landmarks.literal import LiteralLSTM, Shape

EVERY = 500


class Exam:
    """The two sets of a seed, and how many of their strings a net predicts wrongly."""

    def __init__(self, trial: Trial) -> None:
        self.rng = trial.rng(1)
        self.train, self.legal, self.test, self.test_legal = sets(self.rng, trial.cap(256, 16))

    def draw(self, count: int) -> Sequences:
        """Strings of the training set, drawn with replacement."""
        return self.train.chosen(self.rng.integers(0, len(self.train), count))

    def wrong(self, read: Callable[[Sequences], np.ndarray]) -> tuple[int, int]:
        """Strings with a step where an illegal symbol is as active as a legal one; and those wrong at the long lag."""
        found = np.zeros(2, np.int64)
        for strings, legal in ((self.train, self.legal), (self.test, self.test_legal)):
            y = read(strings)
            bad = np.where(legal, y, np.inf).min(1) <= np.where(legal, -np.inf, y).max(1)
            # the target of the last but one step is the symbol that repeats the second
            found += (np.bincount(strings.owner, bad).astype(bool).sum(), bad[strings.starts[1:] - 2].sum())
        return int(found[0]), int(found[1])


def until(exam: Exam, step: Callable[[], None], read: Callable[[Sequences], np.ndarray], cap: int) -> Outcome:
    """Train on `EVERY` strings at a time until no string of either set is wrong; the looser criterion is the lag's."""
    seen, reached, curve = 0, None, []
    bad = late = 2 * len(exam.train)
    while seen < cap:
        step()
        seen += EVERY
        bad, late = exam.wrong(read)
        curve.append((float(seen), bad / (2 * len(exam.train))))
        reached = seen if reached is None and late == 0 else reached
        if bad == 0:
            break
    loose = None if reached is None else float(reached)
    measures = {"strings wrong": bad, "wrong at the long lag": late, "strings to the long lag": loose}
    return Outcome(
        bad == 0, reached is not None, float(seen) if bad == 0 else None, measures, curve[:: 1 + seen // 30_000]
    )


def literal(trial: Trial, blocks: int, size: int, rate: float, bias: str = "g") -> Outcome:
    """The net and the learning rule of 1997: only gates are biased."""
    exam = Exam(trial)
    net = LiteralLSTM(Shape(7, blocks, size, 7, bias=bias), trial.seed, rate=rate, init=0.2)
    net.set_bias("out", [-1.0 - k for k in range(blocks)])
    read = partial(net.run, learn="never")
    return until(exam, lambda: void(net.run(exam.draw(EVERY))), read, trial.cap(200_000, EVERY))


def void(_: object) -> None:
    """Drop a result."""


def today(trial: Trial, cell: Cell, cap: int, *, one_step: bool = False) -> Outcome:
    """Exact gradients and Adam; or Elman's rule of 1990, which follows the error back through one step alone."""
    exam = Exam(trial)
    net = modern.Net(cell, 7, 15, 7, trial.seed, gate_bias={"f": 1.0} if "f" in cell.gates else None)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)

    def step() -> None:
        for _ in range(EVERY // 10):
            batch = exam.draw(10).padded()
            x, due = torch.from_numpy(batch.x), torch.from_numpy(batch.due)
            z = elman(net, x) if one_step else net(x)
            optimiser.zero_grad()
            modern.penalty(z[due], torch.from_numpy(batch.targets)[due], "binary").backward()
            optimiser.step()

    return until(exam, step, lambda s: modern.read(net, s, "binary"), trial.cap(cap, EVERY))


def elman(net: modern.Net, x: torch.Tensor) -> torch.Tensor:
    """The net's outputs, each with the hidden state of the step before as a given number."""
    with torch.no_grad():
        h, _ = net.layer(x)
    before = torch.cat([torch.zeros_like(h[:1]), h[:-1]])
    y, _ = net.layer(x.reshape(1, -1, x.shape[2]), (before.reshape(1, -1, h.shape[2]),))
    return net.out(y).reshape(*x.shape[:2], len(SYMBOLS))


LANDMARK = Landmark(
    "embedded_reber",
    "Embedded Reber grammar",
    "1997",
    "Hochreiter & Schmidhuber, Long short-term memory, Neural Computation 9(8), experiment 1",
    "LSTM with output gates learns the embedded Reber grammar, where most rivals fail.",
    "4 blocks of 1 cell: lr 0.1 100 %, 39,740 strings; lr 0.5 97 %, 9,500. 3 blocks of 2: lr 0.1 100 %, 21,730; "
    "lr 0.2 97 %, 14,060; lr 0.5 100 %, 8,440 (3,800 to 24,100). Elman net: 0 % after 200,000",
    "strings to the criterion",
    "in all 256 training and 256 test strings the legal next symbols are the most active ones, at every step; "
    "within 200,000 strings",
    (
        Arm("3x2, lr 0.5, literal", partial(literal, blocks=3, size=2, rate=0.5), published="8,440; 100 %"),
        Arm("3x2, lr 0.2, literal", partial(literal, blocks=3, size=2, rate=0.2), published="14,060; 97 %"),
        Arm("3x2, lr 0.1, literal", partial(literal, blocks=3, size=2, rate=0.1), published="21,730; 100 %"),
        Arm("4x1, lr 0.5, literal", partial(literal, blocks=4, size=1, rate=0.5), published="9,500; 97 %"),
        Arm("4x1, lr 0.1, literal", partial(literal, blocks=4, size=1, rate=0.1), published="39,740; 100 %"),
        Arm(
            "3x2, lr 0.1, literal, biased outputs",
            partial(literal, blocks=3, size=2, rate=0.1, bias="go"),
            "rival",
        ),
        Arm("LSTM, Adam", partial(today, cell=LSTM, cap=100_000)),
        Arm("plain RNN, Adam", partial(today, cell=RNN, cap=100_000), "rival"),
        Arm("Elman's rule", partial(today, cell=RNN, cap=100_000, one_step=True), "control", "0 %"),
    ),
    (
        Claim(
            "The literal program (3x2, lr 0.5) learns it in at least half of the runs", succeeds("3x2, lr 0.5, literal")
        ),
        Claim("in the published order of magnitude", near("3x2, lr 0.5, literal", 8440)),
        Claim("in at least 97 % of the runs, as published", succeeds("3x2, lr 0.5, literal", 0.97)),
        Claim("LSTM with exact gradients learns it in every run", succeeds("LSTM, Adam", 1)),
        Claim("Error that flows back one step only does not suffice", fails("Elman's rule")),
    ),
    reached="the symbol at the long lag is right in all 512 strings",
    pictures=learning(
        "Strings that are not yet right",
        "strings",
        {
            "3x2, lr 0.5, literal": "lr 0.5",
            "3x2, lr 0.2, literal": "lr 0.2",
            "3x2, lr 0.1, literal": "lr 0.1",
            "LSTM, Adam": "LSTM, Adam",
            "Elman's rule": "Elman",
        },
        percent=True,
    ),
)
