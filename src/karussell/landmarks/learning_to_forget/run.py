"""Learning to forget, 2000: an endless stream of embedded Reber strings, with and without forget gates."""

from dataclasses import dataclass

import numpy as np

from karussell.data.problems import Sequences
from karussell.data.problems.reber import continual
from karussell.landmarks.landmark import (
    ENOUGH,
    Arm,
    Claim,
    Landmark,
    Outcome,
    Picture,
    Rows,
    Trial,
    below,
    fails,
    succeeds,
)
from karussell.landmarks.learning_to_forget import order
from karussell.landmarks.literal import LiteralLSTM, Shape, Stream
from karussell.landmarks.window import thinned

WITHIN = 0.49
PERFECT = 1_000_000
GOOD = 1000
STREAMS = 30_000
STRINGS = 4000
SYMBOLS = 20_000_000


@dataclass(frozen=True)
class Kind:
    """What the net has against states that grow, and who resets it."""

    forget: bool = False
    decay: float = 1.0
    """Of the learning rate, a step; it starts anew with each stream."""
    carry: float = 1.0
    """What a state keeps from step to step without forget gates."""
    resets: bool = False
    """Whether it is told where strings end."""
    streams: int = STREAMS


def make(seed: int, kind: Kind) -> LiteralLSTM:
    """Four blocks of two cells, 424 weights with forget gates."""
    shape = Shape(7, 4, 2, 7, bias="go", forget_gate=kind.forget, feed_gates=False, shortcuts=True)
    net = LiteralLSTM(shape, seed, rate=0.5, init=0.2, decay=kind.decay, carry=kind.carry)
    biases = np.array([0.5, 1.0, 1.5, 2.0])
    net.set_bias("in", tuple(-biases))
    net.set_bias("out", tuple(-biases))
    if kind.forget:
        net.set_bias("forget", tuple(biases))
    return net


def correct(net: LiteralLSTM, rng: np.random.Generator, kind: Kind, most: int) -> int:
    """Symbols of a fresh stream predicted before the first mistake, up to `most`; nothing is learned."""
    done, goes_on = 0, False
    while done < most:
        piece = continual(rng, 20 if done == 0 else 2000)
        fresh = piece.starts[:-1] if kind.resets else np.zeros(0, np.int64)
        stream = Stream(net, piece, fresh, goes_on=goes_on)
        reached, y = stream.advance("never", stop=WITHIN)
        right = bool((np.abs(y[-1] - piece.targets[reached - 1]) <= WITHIN).all())
        done += reached if right else reached - 1
        if not right:
            break
        goes_on = True
    return min(done, most)


def taught(net: LiteralLSTM, piece: Sequences, kind: Kind) -> np.ndarray:
    """Learn from the streams of one piece, each ended by its first mistake; the next begins with the next string."""
    fresh = piece.starts[:-1] if kind.resets else np.zeros(0, np.int64)
    return Stream(net, piece, fresh).streams("step", piece.starts[:-1], stop=WITHIN)


def tested(net: LiteralLSTM, trial: Trial, kind: Kind, most: int) -> float:
    """The mean of `correct` over the ten test streams, always the same ones."""
    return float(np.mean([correct(net, trial.rng(9, k), kind, most) for k in range(trial.cap(10, 2))]))


def cerg(trial: Trial, kind: Kind) -> Outcome:
    """Train on streams that end at the first mistake; test after about 250, and after 300,000 symbols.

    A net that is right for 20,000 symbols is asked for a million, at most once in two million symbols of training.
    """
    net, rng = make(trial.seed, kind), trial.rng(8)
    best, best_at, found, curve = 0.0, 0, None, []
    seen, tried, shown, longest, cap = 0, 0, 0, 0, trial.cap(kind.streams, 60)
    due, full = 0, 0
    while seen < cap and shown < SYMBOLS and found is None:
        piece = continual(rng, 40 if trial.smoke else 300 if longest < GOOD else STRINGS)
        lengths = taught(net, piece, kind)
        seen, shown, longest = seen + len(lengths), shown + len(piece.due), int(lengths.max())
        if seen - tried >= 250 or shown >= due:
            tried, due = seen, shown + 300_000
            score = tested(net, trial, kind, 200 if trial.smoke else 20_000)
            if score >= 20_000 and shown >= full:
                full = shown + 2_000_000
                score = tested(net, trial, kind, PERFECT)
            curve.append((float(seen), score))
            if score > best:
                best, best_at = score, seen
            found = seen if score >= PERFECT else None
    measures = {
        "best test mean": best,
        "at stream": best_at,
        "streams": seen,
        "million symbols": shown / 1e6,
        "good": float(best > GOOD),
    }
    return Outcome(
        found is not None, best > GOOD, None if found is None else float(found), measures, thinned(curve, 60)
    )


FORGET, DECAYED, PLAIN = Kind(forget=True), Kind(forget=True, decay=0.99), Kind(streams=10_000)
RESET, FADING = Kind(resets=True), Kind(carry=0.9, streams=10_000)


def more(rows: Rows) -> bool | None:
    """At least as many nets with a decayed rate become perfect as without."""
    mine, others = (rows.get(name, ()) for name in ("forget gates, decayed rate", "forget gates"))
    if min(len(mine), len(others)) < ENOUGH:
        return None
    return sum(r.strict for r in mine) / len(mine) >= sum(r.strict for r in others) / len(others)


def pictures(rows: Rows, smoke: bool) -> list[Picture]:  # noqa: ARG001 - the states are seen afresh
    """Internal states over the strings of one stream, after training with and without forget gates."""
    drawn = []
    for title, kind in (("Without forget gates the states drift away", PLAIN),
                        ("With forget gates they come back", FORGET)):  # fmt: skip
        net, rng = make(0, kind), np.random.default_rng([0, 8])
        for _ in range(1 if smoke else 100):
            taught(net, continual(rng, 300), kind)
        shown = continual(np.random.default_rng(99), 40)
        states = net.trace(shown, fresh=np.zeros(1, np.int64)).states
        steps = [float(k) for k in range(0, len(states), 4)]
        curves = [(f"cell {c + 1}", steps, [float(f"{v:.4g}") for v in states[::4, c]]) for c in range(8)]
        caption = "The states of all eight cells over 40 strings of a stream that is never reset."
        drawn.append(Picture(title, "symbol of the stream", curves, caption))
    return drawn


LANDMARK = Landmark(
    "learning_to_forget",
    "Learning to forget",
    "2000",
    "Gers, Schmidhuber & Cummins, Learning to forget: continual prediction with LSTM, Neural Computation 12(10)",
    "On a stream without marked ends the LSTM of 1997 breaks down; with forget gates it learns to reset itself.",
    "100 nets each (from memory, high confidence): forget gates 18 % perfect (18,889 streams), 29 % good; "
    " with decayed learning rate 62 % perfect (14,087), 6 % good; without forget gates none perfect, 1 % good; "
    "with state decay none; without forget gates but reset from outside 74 % perfect (7,441)",
    "training streams until perfect",
    "perfect: a million symbols right in a row, mean of 10 test streams, within 30,000 training "
    "streams and 20 million symbols",
    (
        Arm("forget gates", lambda t: cerg(t, FORGET), published="18,889; 18 %"),
        Arm("forget gates, decayed rate", lambda t: cerg(t, DECAYED), published="14,087; 62 %"),
        Arm("no forget gates, reset from outside", lambda t: cerg(t, RESET), "rival", "7,441; 74 %"),
        Arm("no forget gates", lambda t: cerg(t, PLAIN), "control", "0 %"),
        Arm("no forget gates, state decay 0.9", lambda t: cerg(t, FADING), "control", "0 %"),
        Arm("noisy temporal order, forget bias 5", lambda t: order.single(t, 5.0), "rival", figure=order.SEQUENCES),
        Arm("noisy temporal order, forget bias 1", lambda t: order.single(t, 1.0), "rival", figure=order.SEQUENCES),
        Arm("noisy temporal order, no forget gates", lambda t: order.single(t, None), "rival", figure=order.SEQUENCES),
        Arm(f"{order.STREAM}, forget gates", lambda t: order.continual(t, 1.0), published="18,077; 24 %"),
        Arm(
            f"{order.STREAM}, decayed rate",
            lambda t: order.continual(t, 1.0, 0.9999),
            "rival",
            "22,654; 37 %",
        ),
        Arm(f"{order.STREAM}, no forget gates", lambda t: order.continual(t, None), "control"),
    ),
    (
        Claim("With forget gates some nets become perfect", succeeds("forget gates", 0.01)),
        Claim("With a decayed rate at least as many do as without", more),
        Claim("Without forget gates no net becomes even good", fails("no forget gates", loosely=True)),
        Claim("State decay does not replace them", fails("no forget gates, state decay 0.9")),
        Claim(
            "Told where strings end, nets without forget gates become perfect",
            succeeds("no forget gates, reset from outside", 0.2),
        ),
        Claim(
            "Noisy temporal order takes at most twice as long with a forget bias of 5 as without forget gates",
            below("noisy temporal order, forget bias 5", "noisy temporal order, no forget gates", 2),
        ),
        Claim("As a stream, some nets with forget gates learn it", succeeds(f"{order.STREAM}, forget gates", 0.01)),
        Claim("and none without", fails(f"{order.STREAM}, no forget gates")),
    ),
    reached="good: more than 1000 symbols right in a row, mean of 10 test streams",
    pictures=pictures,
)
