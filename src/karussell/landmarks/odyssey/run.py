"""LSTM: a search space odyssey, 2015-2017: vanilla LSTM and eight variants, random search, paired over the settings."""

import itertools
import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from karussell.cells import ODYSSEY, RNN, Cell
from karussell.data.problems import adding
from karussell.landmarks import modern
from karussell.landmarks.archives import chorales
from karussell.landmarks.landmark import Arm, Claim, Landmark, Outcome, Rows, Trial
from karussell.landmarks.odyssey.importance import by_rate, importance, shares
from karussell.landmarks.statistics import mean

SETTINGS = 20
PAIRS = 20
ENOUGH = {"adding": 0.04, "chorales": 9.5}
FIGURES = {
    "adding": "adding: mean error",
    "chorales": "chorales: negative log-likelihood a step",
}


def setting(trial: Trial) -> tuple[float, int, float]:
    """Learning rate, units and the deviation of noise on the input, drawn alike for every variant with this seed."""
    rng = trial.rng(2015)
    return 10 ** rng.uniform(-3.5, -1.5), int(2 ** rng.uniform(3.0, 5.5)), rng.choice([0.0, 0.1])


def make(trial: Trial, cell: Cell, inputs: int, outputs: int) -> tuple[modern.Net, float, float]:
    """The net of a setting, with its learning rate and noise."""
    rate, units, noise = setting(trial)
    bias = {"f": 1.0} if "f" in cell.gates else None
    engine = "reference" if trial.smoke else "auto"
    return modern.Net(cell, inputs, units, outputs, trial.seed, gate_bias=bias, engine=engine), rate, noise


def add(trial: Trial, cell: Cell) -> Outcome:
    """Adding with 20 pairs: the mean error on fresh sequences after 16,000."""
    net, rate, noise = make(trial, cell, 2, 1)
    rng = trial.rng(1)
    optimiser = torch.optim.Adam(net.parameters(), lr=rate)
    for _ in range(trial.cap(800, 2)):
        batch = adding(rng, 20, PAIRS).padded()
        x, due = torch.from_numpy(batch.x), torch.from_numpy(batch.due)
        z = net(x + noise * torch.from_numpy(rng.standard_normal(x.shape).astype(np.float32)))
        loss = modern.penalty(z[due], torch.from_numpy(batch.targets)[due], "square")
        step(net, optimiser, loss)
    test = adding(trial.rng(3), trial.cap(1000, 10), PAIRS)
    return outcome(trial, float(np.abs(test.targets - modern.read(net, test, "square")).mean()), "adding")


def compose(trial: Trial, cell: Cell) -> Outcome:
    """JSB chorales: the notes of the next quarter, negative log-likelihood a step on the test pieces."""
    pieces = {p: [np.eye(8, 88, dtype=np.float32)] * 4 if trial.smoke else chorales(p) for p in ("train", "test")}
    net, rate, noise = make(trial, cell, 88, 88)
    rng = trial.rng(1)
    optimiser = torch.optim.Adam(net.parameters(), lr=rate)
    for _ in range(trial.cap(12, 1)):
        order = rng.permutation(len(pieces["train"]))
        for k in range(0, len(order), 8):
            z, target = predicted(net, [pieces["train"][n] for n in order[k : k + 8]], noise, rng)
            step(net, optimiser, torch.nn.functional.binary_cross_entropy_with_logits(z, target))
    with torch.no_grad():
        z, target = predicted(net, pieces["test"], 0.0, rng)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(z, target, reduction="sum")
    return outcome(trial, float(loss) / len(z), "chorales")


def predicted(
    net: modern.Net, pieces: list[np.ndarray], noise: float, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and notes of every step but the first of each piece, [steps, 88]."""
    x = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(p) for p in pieces])
    seen = x[:-1] + noise * torch.from_numpy(rng.standard_normal(x[:-1].shape).astype(np.float32))
    z = net(seen)
    there = torch.arange(len(z))[:, None] < torch.tensor([len(p) - 1 for p in pieces])
    return z[there], x[1:][there]


def step(net: modern.Net, optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """One update, gradients clipped."""
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()


def outcome(trial: Trial, value: float, task: str) -> Outcome:
    """The score of one setting, with what was drawn."""
    rate, units, noise = setting(trial)
    value = value if math.isfinite(value) else 1e3
    return Outcome(
        value < ENOUGH[task], True, value, {"log10 learning rate": math.log10(rate), "units": units, "noise": noise}
    )


def worse(task: str, variant: str, sign: float = 1.0) -> Callable[[Rows], bool | None]:
    """Whether a variant differs from vanilla over paired settings, p < 0.01 by flipping signs; worse is positive."""

    def check(rows: Rows) -> bool | None:
        mine = {r.seed: r.value for r in rows.get(f"{task}, {variant}", ()) if r.value is not None}
        vanilla = {r.seed: r.value for r in rows.get(f"{task}, V", ()) if r.value is not None}
        both = sorted(set(mine) & set(vanilla))
        if len(both) < 8:
            return None
        return flipped([sign * (mine[s] - vanilla[s]) for s in both]) < 0.01

    return check


def flipped(differences: list[float]) -> float:
    """The one-sided p of the mean under random signs: exact up to 12 pairs, else by 20,000 draws."""
    observed, d = mean(differences), np.array(differences)
    if len(d) <= 12:
        signs = np.array(list(itertools.product((-1, 1), repeat=len(d))))
    else:
        signs = np.random.default_rng(0).choice((-1, 1), (20_000, len(d)))
    return float(((signs * d).mean(1) >= observed - 1e-15).mean())


def none_better(rows: Rows) -> bool | None:
    """No variant is significantly better than vanilla on either task."""
    found = [worse(task, v, -1.0)(rows) for task in ENOUGH for v in ODYSSEY if v != "V"]
    return None if all(f is None for f in found) else not any(found)


def rate_matters(rows: Rows) -> bool | None:
    """Whether the learning rate's share of the variance is above 2/3 on both tasks."""
    found = [shares([rows.get(f"{task}, {v}", ()) for v in ODYSSEY]) for task in ENOUGH]
    return (
        None if any(f is None for f in found) else all(f is not None and f[0]["learning rate"] > 2 / 3 for f in found)
    )


def arm(task: str, run: Callable[[Trial, Cell], Outcome], variant: str) -> Arm:
    """A variant on a task, over all settings."""
    cell = ODYSSEY[variant]
    return Arm(f"{task}, {variant}", lambda trial: run(trial, cell), seeds=SETTINGS, figure=FIGURES[task])


LANDMARK = Landmark(
    "odyssey",
    "A search space odyssey",
    "2015-2017",
    "Greff, Srivastava, Koutnik, Steunebrink & Schmidhuber, LSTM: a search space odyssey, TNNLS 28(10), 2017",
    "None of eight variants is significantly better than vanilla LSTM; forget gate and output activation matter most.",
    "5,400 runs, 15 years of computing; JSB chorales: best log-likelihood -8.38; the learning rate "
    "explains more than two thirds of the variance (from memory, medium confidence)",
    FIGURES["adding"],
    "adding: mean error below 0.04; chorales: below 9.5 nats a step",
    (
        *(arm("adding", add, v) for v in ODYSSEY),
        *(arm("chorales", compose, v) for v in ODYSSEY),
        Arm("adding, plain RNN", partial(add, cell=RNN), "control", seeds=SETTINGS),
    ),
    (
        Claim("No variant is significantly better than vanilla", none_better),
        Claim("Without the forget gate it is worse, on adding", worse("adding", "NFG")),
        Claim("Without the output activation it is worse, on chorales", worse("chorales", "NOAF")),
        Claim("A plain net is worse on adding", worse("adding", "plain RNN")),
        Claim("The learning rate explains more than two thirds of the variance, on both tasks", rate_matters),
    ),
    tables=lambda rows: importance(rows, tuple(ENOUGH), tuple(ODYSSEY)),
    pictures=lambda rows, _: [p for task in ENOUGH for p in by_rate(rows, task, ("V", "NFG", "NOAF", "CIFG"))],
)
