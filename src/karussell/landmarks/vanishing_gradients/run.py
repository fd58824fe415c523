"""Vanishing gradients, 1991 and 2001: how an error fades on its way back, and what that does to learning."""

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor

from karussell.cells import LSTM, LSTM1997, RNN, Cell
from karussell.data.problems import Sequences, delayed_recall
from karussell.data.problems.sequences import last_steps
from karussell.landmarks import modern
from karussell.landmarks.landmark import Arm, Claim, Landmark, Outcome, Picture, Rows, Trial, fails, succeeds
from karussell.landmarks.window import Window
from karussell.nn import Recurrent

UNITS = 16
LAGS = (1, 2, 4, 8, 16, 32, 64)
SIGMOID = Cell("sigmoid_rnn", state=("h",), gates=("a",), step=lambda a: torch.sigmoid(a))
WEIGHT = 3.0


def radius(value: float, matrix: Tensor) -> None:
    """Give a square matrix this spectral radius."""
    with torch.no_grad():
        matrix.normal_()
        matrix.mul_(value / torch.linalg.eigvals(matrix).abs().max())


def jacobian(layer: Recurrent, name: str, lag: int) -> float:
    """The greatest entry of the derivative of one state by itself, `lag` steps earlier, after 20 steps of noise."""
    noise = torch.Generator().manual_seed(lag)
    before = torch.randn(20, 1, layer.input_size, generator=noise, dtype=torch.float64)
    after = torch.randn(lag, 1, layer.input_size, generator=noise, dtype=torch.float64).expand(-1, UNITS, -1)
    with torch.no_grad():
        _, state = layer(before)
    start = [part.expand(-1, UNITS, -1).clone() for part in state]
    at = layer.cell.state.index(name)
    start[at].requires_grad_(True)
    _, last = layer(after, start)
    # row u of the batch asks for unit u
    (found,) = torch.autograd.grad(last[at][0].diagonal().sum(), start[at])
    return float(found.abs().max())


def norms(trial: Trial, layer: Recurrent, name: str) -> list[tuple[float, float]]:
    """That derivative by lag."""
    lags = LAGS[:2] if trial.smoke else LAGS
    return [(float(lag), jacobian(layer, name, lag)) for lag in lags]


def layer_of(trial: Trial, cell: Cell, **options: object) -> Recurrent:
    """A layer in float64, its weights drawn by the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(trial.seed)
        return Recurrent(cell, 4, UNITS, engine="reference", dtype=torch.float64, **options)  # type: ignore[arg-type]


def slope(points: list[tuple[float, float]]) -> float:
    """The change of log10 of the derivative a step, between the first and the last lag."""
    (a, first), (b, last) = points[0], points[-1]
    return (math.log10(max(last, 1e-300)) - math.log10(max(first, 1e-300))) / (b - a)


def bounded(trial: Trial) -> Outcome:
    """Logistic units with weights of at most 3/n: the entry must stay below n * tau ** q, tau = 3/4 (1997, 3.1)."""
    limit = WEIGHT / UNITS
    layer = layer_of(trial, SIGMOID, init_recurrent=lambda m: m.uniform_(-limit, limit))
    points = norms(trial, layer, "h")
    tau = WEIGHT / 4
    holds = all(y <= UNITS * tau**q for q, y in points)
    return Outcome(holds, holds, slope(points), {}, points)


def free(trial: Trial, value: float) -> Outcome:
    """Tanh units with a spectral radius; the criterion is that the error is still there after 64 steps."""
    layer = layer_of(trial, RNN, init_recurrent=partial(radius, value))
    points = norms(trial, layer, "h")
    alive = 0.1 < points[-1][1] < 10
    return Outcome(alive, alive, slope(points), {}, points)


def carousel(trial: Trial) -> Outcome:
    """The state of 1997 with nothing fed back, as its truncated learning rule sees it: exactly 1 at every lag."""
    layer = layer_of(trial, LSTM1997, init_recurrent=torch.nn.init.zeros_)
    points = norms(trial, layer, "s")
    exact = all(y == 1.0 for _, y in points)
    return Outcome(exact, exact, slope(points), {}, points)


def gated(trial: Trial, bias: float) -> Outcome:
    """Today's LSTM with a bias on its forget gates; alive after 64 steps."""
    layer = layer_of(trial, LSTM, gate_bias={"f": bias})
    points = norms(trial, layer, "c")
    alive = 0.1 < points[-1][1] < 10
    return Outcome(alive, alive, slope(points), {}, points)


def latch(trial: Trial, cell: Cell, lag: int) -> Outcome:
    """Experiment 2a at its end alone: which of two symbols began, `lag` steps ago? 256 right in a row."""
    net = modern.Net(
        cell, lag + 1, 8, lag + 1, trial.seed, gate_bias={"f": math.log(lag) + 1.0} if cell is LSTM else None
    )
    rng = trial.rng(2, lag)

    def right(window: Window) -> bool:
        return window.right(0.25)

    cap = trial.cap(10_000, 64)
    learned = modern.train(net, lambda: last_only(rng, lag), cap, right, loss="classes", rate=3e-3, size=256)
    return Outcome(
        learned.strict is not None, learned.strict is not None, learned.strict, {"seen": learned.seen}, learned.curve
    )


def last_only(rng: np.random.Generator, lag: int) -> Sequences:
    """Sequences whose only target is their last symbol."""
    whole = delayed_recall(rng, 16, lag)
    due = last_steps(whole.starts)
    return Sequences(whole.starts, whole.inputs, due, whole.targets[due], symbols=whole.symbols)


RADII = (0.5, 0.9, 1.0, 1.5, 2.0)
BIASES = (0.0, 1.0, 3.0, 5.0)
DELAYS = (4, 10, 50, 100)
SEQUENCES = "sequences to the criterion of the latch"
SHORT = {
    "sigmoid, weights up to 3/n": "logistic",
    "carousel of 1997": "carousel",
    "tanh, radius 0.9": "tanh 0.9",
    "tanh, radius 1.5": "tanh 1.5",
    "LSTM, forget bias 1": "LSTM 1",
    "LSTM, forget bias 5": "LSTM 5",
}


def pictures(rows: Rows, smoke: bool) -> list[Picture]:  # noqa: ARG001 - there is nothing to run
    """The derivatives by lag, seed by seed averaged, and the bound."""
    curves = []
    for name in SHORT:  # fmt: skip
        found = rows.get(name, ())
        if found:
            y = np.exp(np.mean([[math.log(max(p[1], 1e-300)) for p in row.curve] for row in found], 0))
            # what is smaller than this is nothing to a float
            points = [(p[0], float(v)) for p, v in zip(found[0].curve, y, strict=True) if v > 1e-16]
            curves.append((SHORT[name], [x for x, _ in points], [v for _, v in points]))
    bound = [UNITS * (WEIGHT / 4) ** q for q in LAGS]
    curves.append(("bound", list(map(float, LAGS)), bound))
    caption = (
        "The greatest entry of the derivative of a state by itself some steps earlier: geometric means over seeds. "
        "Tanh nets by spectral radius, LSTM by the bias of its forget gates."
    )
    return [Picture("How an error fades on its way back", "steps back", curves, caption, log=True)]


LANDMARK = Landmark(
    "vanishing_gradients",
    "Vanishing gradients",
    "1991, 2001",
    "Hochreiter, diploma thesis, TU München 1991; Hochreiter, Bengio, Frasconi & Schmidhuber 2001; 1997, section 3.1",
    "Error that flows back through a recurrent net fades or explodes exponentially; through a carousel it stays.",
    "logistic units with weights of at most w: the factor over q steps is at most n tau^q, tau = n w / 4; with the "
    "carousel it is 1. The p-delay latch: real-time recurrent learning 7 of 9 at p=4, none at p=10; "
    "back-propagation through time none at p=100",
    "log10 of the derivative, change a step",
    "bound: every derivative below n tau^q; carousel: every derivative exactly 1; others: between 0.1 and 10 after 64 "
    "steps; latch: 256 sequences in a row within 0.25",
    (
        Arm("sigmoid, weights up to 3/n", bounded, published="below log10(3/4) = -0.125 in the long run"),
        Arm("carousel of 1997", carousel, published="0"),
        *(Arm(f"tanh, radius {r}", partial(free, value=r), "control" if r <= 1 else "rival") for r in RADII),
        *(Arm(f"LSTM, forget bias {b:g}", partial(gated, bias=b), "rival") for b in BIASES),
        *(Arm(f"latch p={p}, LSTM", partial(latch, cell=LSTM, lag=p), figure=SEQUENCES) for p in DELAYS),
        *(
            Arm(
                f"latch p={p}, plain RNN",
                partial(latch, cell=RNN, lag=p),
                "control" if p >= 50 else "rival",
                figure=SEQUENCES,
            )
            for p in DELAYS
        ),
    ),
    (
        Claim("Every derivative stays below the published bound", succeeds("sigmoid, weights up to 3/n", 1)),
        Claim("Through the carousel every derivative is exactly 1", succeeds("carousel of 1997", 1)),
        Claim("Through tanh units of radius 0.9 the error is gone after 64 steps", fails("tanh, radius 0.9", 0.1)),
        Claim("LSTM learns the latch at p=50", succeeds("latch p=50, LSTM")),
        Claim("A plain recurrent net does not", fails("latch p=50, plain RNN")),
        Claim("LSTM learns the latch at p=100", succeeds("latch p=100, LSTM")),
        Claim("A plain recurrent net does not, at p=100", fails("latch p=100, plain RNN")),
    ),
    pictures=pictures,
)
