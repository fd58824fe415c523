"""Temporal order, 1997, experiments 6a and 6b: in which order did two, or three, distant symbols come?"""

from karussell.cells import LSTM, RNN
from karussell.cells.cell import Cell
from karussell.data.problems import temporal_order
from karussell.landmarks import modern
from karussell.landmarks.curves import learning
from karussell.landmarks.landmark import Arm, Claim, Landmark, Outcome, Trial, fails, near, succeeds
from karussell.landmarks.literal import LiteralLSTM, Shape
from karussell.landmarks.literal_training import learn, wrong
from karussell.landmarks.window import Learned, Window

WITHIN = 0.3


def strict(window: Window) -> bool:
    """The latest 2000 sequences right in all outputs, and an average error below 0.1."""
    return window.right(WITHIN) and window.average() < 0.1


def reached(window: Window) -> bool:
    """At most 20 of the latest 2000 wrong."""
    return window.wrong(WITHIN) <= 20


def literal(trial: Trial, marks: int, cap: int) -> Outcome:
    """The net and the learning rule of 1997."""
    blocks, biases = {2: (2, (-2.0, -4.0)), 3: (3, (-2.0, -4.0, -6.0))}[marks]
    net = LiteralLSTM(Shape(8, blocks, 2, 2**marks), trial.seed, rate={2: 0.5, 3: 0.1}[marks])
    net.set_bias("in", biases)
    rng = trial.rng(6, marks)
    learned = learn(net, lambda: temporal_order(rng, 500, marks), trial.cap(cap, 1000), strict, reached)
    test = temporal_order(trial.rng(7, marks), trial.cap(2560, 50), marks)
    return outcome(learned, {"wrong of 2560": wrong(net, test, WITHIN)})


def today(trial: Trial, cell: Cell, marks: int, cap: int) -> Outcome:
    """The same task with exact gradients and Adam."""
    bias = {"f": 2.0} if "f" in cell.gates else None
    net = modern.Net(cell, 8, 16, 2**marks, trial.seed, gate_bias=bias)
    rng = trial.rng(6, marks)
    learned = modern.train(net, lambda: temporal_order(rng, 20, marks), trial.cap(cap, 40), strict, reached, rate=1e-2)
    test = temporal_order(trial.rng(7, marks), trial.cap(2560, 50), marks)
    off = int((test.worst(modern.read(net, test, "binary")) >= WITHIN).sum())
    return outcome(learned, {"wrong of 2560": off})


def outcome(learned: Learned, measures: dict[str, float]) -> Outcome:
    """Sequences to the strict criterion, with what else was measured."""
    loose = None if learned.reached is None else float(learned.reached)
    return Outcome(
        learned.strict is not None,
        learned.reached is not None,
        None if learned.strict is None else float(learned.strict),
        {**measures, "sequences to 1 % wrong": loose, "sequences seen": learned.seen},
        learned.curve,
    )


LANDMARK = Landmark(
    "temporal_order",
    "Temporal order",
    "1997",
    "Hochreiter & Schmidhuber, Long short-term memory, Neural Computation 9(8), experiments 6a and 6b",
    "LSTM extracts information that is coded in the order of inputs 40 and 90 steps ago.",
    "6a: 31,390 sequences (mean of 20 trials), 1 of 2560 wrong; 6b: 571,100 (10 trials), 2 of 2560 wrong",
    "sequences to the criterion",
    "the latest 2000 sequences right (every output within 0.3) and their average error below 0.1",
    (
        Arm("6a, literal", lambda t: literal(t, 2, 300_000), published="31,390"),
        Arm("6b, literal", lambda t: literal(t, 3, 2_000_000), published="571,100"),
        Arm("6a, LSTM, Adam", lambda t: today(t, LSTM, 2, 80_000)),
        Arm("6b, LSTM, Adam", lambda t: today(t, LSTM, 3, 160_000)),
        Arm("6a, plain RNN, Adam", lambda t: today(t, RNN, 2, 80_000), "control"),
        Arm("6b, plain RNN, Adam", lambda t: today(t, RNN, 3, 160_000), "control"),
    ),
    (
        Claim("The literal program of 1997 solves 6a in every run", succeeds("6a, literal", 1.0)),
        Claim("in the published order of magnitude", near("6a, literal", 31_390, 3)),
        Claim("It solves 6b in at least half of the runs", succeeds("6b, literal")),
        Claim("LSTM with exact gradients solves 6a", succeeds("6a, LSTM, Adam")),
        Claim("and 6b", succeeds("6b, LSTM, Adam")),
        Claim("A plain recurrent net fails on 6a", fails("6a, plain RNN, Adam")),
        Claim("and on 6b", fails("6b, plain RNN, Adam")),
    ),
    reached="at most 20 of the latest 2000 wrong",
    pictures=learning(
        "Mean error of the outputs while learning",
        "sequences",
        {
            "6a, literal": "6a, literal",
            "6b, literal": "6b, literal",
            "6a, LSTM, Adam": "6a, LSTM",
            "6a, plain RNN, Adam": "6a, plain RNN",
        },
    ),
)
