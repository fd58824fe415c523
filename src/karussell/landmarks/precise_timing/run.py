"""Precise timing, 2002: measure the time between spikes, produce spikes in time, generate periodic functions."""

from functools import partial
from typing import Literal

import numpy as np

from karussell.data.problems import Sequences
from karussell.data.problems.timing import generating, measuring, periodic
from karussell.landmarks.landmark import Arm, Claim, Landmark, Outcome, Picture, Rows, Trial, fails, succeeds
from karussell.landmarks.literal import LiteralLSTM, Shape, Stream
from karussell.landmarks.window import thinned

INTERVALS = 100
TESTED = 1000
STREAMS, STEPS = 3_000_000, 40_000_000
# momentum and what a stream's error may be
SETTINGS = {"measuring": (0.9999, 0.49), "generating": (0.999, 0.49), "periodic": (0.99, 0.3)}


def make(seed: int, task: str, peepholes: bool, forget: float = 2.0) -> LiteralLSTM:
    """One block of one cell: 17 weights with peepholes.

    `forget` starts the forget gate's bias. Our notes on the paper say -2, which forgets a spike within two steps; +2
    keeps a quarter of it over ten.
    """
    out: Literal["logistic", "identity"] = "logistic" if task == "generating" else "identity"
    shape = Shape(1, 1, 1, 1, forget_gate=True, peepholes=peepholes, feed_gates=False, g="identity", h="identity",
                  out=out)  # fmt: skip
    net = LiteralLSTM(shape, seed, rate=1e-5, momentum=SETTINGS[task][0])
    net.set_bias("forget", forget)
    net.set_bias("in", 0.0)
    net.set_bias("out", 2.0)
    return net


def marks(sequences: Sequences, task: str, period: int) -> np.ndarray:
    """Where a stream may begin: at a spike, after a spike that was due, or with a period."""
    assert sequences.x is not None
    if task == "measuring":
        return np.flatnonzero(sequences.x[:, 0])[:-1]
    if task == "generating":
        return np.concatenate([[0], np.flatnonzero(sequences.targets[:, 0])[:-1] + 1])
    return np.arange(0, len(sequences.due), period)


def draw(rng: np.random.Generator, task: str, intervals: int, period: int, extra: tuple[int, ...]) -> Sequences:
    """A long stream to cut training or test streams from."""
    if task == "periodic":
        return periodic(intervals, period)
    return {"measuring": measuring, "generating": generating}[task](rng, intervals, period, extra)


def timed(
    trial: Trial, task: str, period: int = 10, extra: tuple[int, ...] = (0, 1), *, peepholes: bool = True,
    forget: float = 2.0,
) -> Outcome:  # fmt: skip
    """Train on streams that end at the first error or after 100 intervals, until a test of 1000 intervals is passed."""
    net, rng = make(trial.seed, task, peepholes, forget), trial.rng(1, period, *extra)
    _, stop = SETTINGS[task]
    most = INTERVALS * (period + max(extra if task != "periodic" else (0,)))
    test = draw(trial.rng(2), task, trial.cap(TESTED, 20), period, extra)
    seen, shown, found, best, curve = 0, 0, None, 0, []
    error = float("inf")
    while seen < trial.cap(STREAMS, 20) and shown < STEPS and found is None:
        piece = draw(rng, task, trial.cap(2000, 20), period, extra)
        lengths = Stream(net, piece).streams("step", marks(piece, task, period), stop=stop, most=most)
        seen, shown = seen + len(lengths), shown + int(lengths.sum())
        done, y = Stream(net, test).advance("never", stop=stop)
        passed = done == len(test.due) and len(y) and bool((np.abs(y[-1] - test.targets[-1]) <= stop).all())
        best = max(best, done)
        curve.append((float(seen), done / (period + 0.5)))
        if passed:
            found = seen
            error = float(np.sqrt(((y - test.targets) ** 2).mean()))
    measures = {
        "longest test in intervals": best / period,
        "test error (root mean square)": error if found else None,
        "million training steps": shown / 1e6,
        "streams": seen,
    }
    half = found is not None or best >= len(test.due) / 10
    return Outcome(found is not None, half, None if found is None else float(found), measures, thinned(curve, 60))


def pictures(rows: Rows, smoke: bool) -> list[Picture]:  # noqa: ARG001 - the output is seen afresh
    """What the net of seed 0 says on a periodic function, after training."""
    net, rng = make(0, "periodic", True), np.random.default_rng(0)
    for _ in range(1 if smoke else 3000):
        piece = draw(rng, "periodic", 2000, 10, ())
        Stream(net, piece).streams("step", marks(piece, "periodic", 10), stop=0.3, most=1000)
    shown = periodic(5, 10)
    y = net.run(shown, "never")[:, 0]
    steps = list(map(float, range(len(y))))
    curves = [("target", steps, shown.targets[:, 0].tolist()), ("output", steps, [float(f"{v:.4g}") for v in y])]
    return [
        Picture("A cosine of period 10, generated without input", "step", curves, "The net of seed 0, after training.")
    ]


TASKS = {
    "measuring, F=10, I in {0, 1}": partial(timed, task="measuring"),
    "generating, F=10, I in {0, 1}": partial(timed, task="generating"),
    "cosine, F=10": partial(timed, task="periodic", period=10, extra=(0,)),
    "cosine, F=25": partial(timed, task="periodic", period=25, extra=(0,)),
}

LANDMARK = Landmark(
    "precise_timing",
    "Precise timing",
    "2002",
    "Gers, Schraudolph & Schmidhuber, Learning precise timing with LSTM recurrent networks, JMLR 3:115-143",
    "Peepholes let LSTM measure and produce the time between sparse spikes exactly, and generate periodic functions "
    "without any input.",
    "from notes on the paper: generating spikes cannot be done without peepholes; of the functions, without them only "
    "the cosine of F=10; cosine of F=25 with an error of 0.17 ± 0.019; at most 10 million streams "
    "(measuring: 100 million)",
    "training streams to a test of 1000 intervals without an error",
    "a test of 1000 intervals with every error at most 0.49 (functions 0.3), within three million streams and forty "
    "million steps",
    (
        *(Arm(f"{k}, peepholes", v) for k, v in TASKS.items()),
        *(
            Arm(f"{k}, no peepholes", partial(v, peepholes=False), "control" if k.startswith("generating") else "rival")
            for k, v in TASKS.items()
        ),
        *(
            Arm(f"{k}, peepholes, forget bias -2", partial(TASKS[k], forget=-2.0), "rival")
            for k in ("measuring, F=10, I in {0, 1}", "cosine, F=10")
        ),
    ),
    (
        Claim("With peepholes the net measures spike delays", succeeds("measuring, F=10, I in {0, 1}, peepholes")),
        Claim("and generates spikes in time", succeeds("generating, F=10, I in {0, 1}, peepholes")),
        Claim("and a cosine of period 10", succeeds("cosine, F=10, peepholes")),
        Claim("and one of period 25", succeeds("cosine, F=25, peepholes")),
        Claim(
            "Without peepholes it cannot generate spikes in time", fails("generating, F=10, I in {0, 1}, no peepholes")
        ),
        Claim("nor a cosine of period 25", fails("cosine, F=25, no peepholes")),
    ),
    reached="the same for 100 intervals of the test",
    pictures=pictures,
)
