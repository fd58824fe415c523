"""What adding and multiplication share: two blocks of two cells, pairs of a number and a marker, one target."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from karussell.cells.cell import Cell
from karussell.data.problems import Sequences, adding, multiplication
from karussell.landmarks import modern
from karussell.landmarks.landmark import Outcome, Trial
from karussell.landmarks.literal import LiteralLSTM, Shape
from karussell.landmarks.literal_training import learn
from karussell.landmarks.window import Learned, Window

DRAW: dict[str, Callable[..., Sequences]] = {"adding": adding, "multiplication": multiplication}


@dataclass(frozen=True)
class Task:
    """One of the two: its name, the learning rate of 1997, and what input gates' biases start from."""

    name: Literal["adding", "multiplication"]
    rate: float
    biases: tuple[float, float] | None


STRICT = "the latest 2000 sequences off by less than 0.04, and by less than 0.01 on average"
REACHED = "the latest 2000 sequences off by less than 0.03 on average"


def strict(window: Window, allowed: int | None = None) -> bool:
    """None of the latest 2000 wrong and a small average; or at most `allowed` wrong, whatever the average."""
    if allowed is not None:
        return window.wrong(0.04) <= allowed
    return window.right(0.04) and window.average() < 0.01


def reached(window: Window) -> bool:
    """A small average error."""
    return window.average() < 0.03


def literal(trial: Trial, task: Task, least: int, cap: int, allowed: int | None = None) -> Outcome:
    """The net and the learning rule of 1997."""
    net = LiteralLSTM(Shape(2, 2, 2, 1), trial.seed, rate=task.rate)
    if task.biases is not None:
        net.set_bias("in", task.biases)
    rng, draw = trial.rng(4, least), DRAW[task.name]
    learned = learn(net, lambda: draw(rng, 500, least), trial.cap(cap, 500), lambda w: strict(w, allowed), reached)
    test = draw(trial.rng(5, least), trial.cap(2560, 20), least)
    return _outcome(learned, test, net.run(test, "never"))


def today(trial: Trial, task: Task, cell: Cell, least: int, cap: int) -> Outcome:
    """The same task with exact gradients and Adam; the output is linear, and gates start so that states are kept."""
    bias = {"f": 4.0, "i": -2.0, "o": -1.0} if "f" in cell.gates else None
    net = modern.Net(cell, 2, 16, 1, trial.seed, gate_bias=bias)
    rng, draw = trial.rng(4, least), DRAW[task.name]
    learned = modern.train(
        net, lambda: draw(rng, 20, least), trial.cap(cap, 100), strict, reached, loss="square", rate=3e-3
    )
    test = draw(trial.rng(5, least), trial.cap(2560, 20), least)
    return _outcome(learned, test, modern.read(net, test, "square"))


def _outcome(learned: Learned, test: Sequences, y: np.ndarray) -> Outcome:
    error = np.abs(test.targets - y)
    loose = None if learned.reached is None else float(learned.reached)
    return Outcome(
        learned.strict is not None,
        learned.reached is not None,
        None if learned.strict is None else float(learned.strict),
        {
            "sequences to 0.03 on average": loose,
            "wrong of 2560": float((error >= 0.04).sum()),
            "test mean error": float(error.mean()),
            "test mean squared error": float((error**2).mean()),
            "sequences seen": learned.seen,
        },
        learned.curve,
    )
