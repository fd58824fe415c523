"""The noisy temporal order tasks of 2000: sequence by sequence with forget gates, and as streams without resets."""

import numpy as np

from karussell.data.problems import temporal_order
from karussell.landmarks.landmark import Outcome, Trial
from karussell.landmarks.literal import LiteralLSTM, Shape, Stream
from karussell.landmarks.literal_training import learn
from karussell.landmarks.window import thinned

MARKS = 3
STREAM = "continual noisy temporal order"
SEQUENCES = "noisy temporal order: sequences to the criterion"
WITHIN = 0.3
"""Of every output, as in 1997."""
CAP = 1_000_000
STOP = 0.49
LENGTH, STREAMS = 100, 10_000
"""Sequences a training stream, and streams at most; the paper allows 100,000."""
TESTED = 1000


def make(seed: int, forget: float | None, decay: float = 1.0) -> LiteralLSTM:
    """The net of experiment 6b of 1997, three blocks of two cells; `forget` starts the forget gates' biases."""
    net = LiteralLSTM(Shape(8, MARKS, 2, 2**MARKS, forget_gate=forget is not None), seed, rate=0.1, decay=decay)
    net.set_bias("in", (-2.0, -4.0, -6.0))
    if forget is not None:
        net.set_bias("forget", forget)
    return net


def single(trial: Trial, forget: float | None) -> Outcome:
    """Experiment 6b of 1997 to its criterion: the latest 2000 right and an average error below 0.1."""
    net, rng = make(trial.seed, forget), trial.rng(6, MARKS)
    learned = learn(
        net,
        lambda: temporal_order(rng, 500, MARKS),
        trial.cap(CAP, 500),
        lambda w: w.right(WITHIN) and w.average() < 0.1,
        lambda w: w.wrong(WITHIN) <= 20,
    )
    value = None if learned.strict is None else float(learned.strict)
    measures = {"sequences seen": float(learned.seen)}
    return Outcome(learned.strict is not None, learned.reached is not None, value, measures, learned.curve)


def right(net: LiteralLSTM, rng: np.random.Generator, most: int) -> int:
    """Sequences of a fresh stream whose order the net tells before the first mistake; nothing is learned."""
    test = temporal_order(rng, most, MARKS)
    reached, y = Stream(net, test, np.zeros(0, np.int64)).advance("never", stop=STOP)
    last_right = len(y) and bool((np.abs(y[-1] - test.targets[len(y) - 1]) <= STOP).all())
    return len(y) if reached == len(test.due) and last_right else len(y) - 1


def continual(trial: Trial, forget: float | None, decay: float = 1.0) -> Outcome:
    """Streams of 100 sequences on end, reset between streams alone; all their mistakes are learned from.

    Tested every 250 streams on ten streams of 1000; the looser criterion is 100 right on average.
    """
    net, rng = make(trial.seed, forget, decay), trial.rng(7, MARKS)
    best, found, curve, streams, cap = 0.0, None, [], 0, trial.cap(STREAMS, 2)
    while streams < cap and found is None:
        Stream(net, temporal_order(rng, trial.cap(LENGTH, 5), MARKS), np.zeros(1, np.int64)).advance("step")
        streams += 1
        if streams % 250 == 0 or streams == cap:
            tests = (right(net, trial.rng(9, k), trial.cap(TESTED, 20)) for k in range(trial.cap(10, 2)))
            score = float(np.mean(list(tests)))
            curve.append((float(streams), score))
            best = max(best, score)
            found = streams if score >= TESTED else None
    measures = {"best test mean": best, "streams": float(streams)}
    value = None if found is None else float(found)
    return Outcome(found is not None, best >= 100, value, measures, thinned(curve, 60))
