"""The literal LSTM: published weight counts, its gradient by finite differences and by a truncated graph, streams."""

import numpy as np
import pytest
from literal_graph import truncated_gradient

from karussell.data.problems import adding, delayed_recall, temporal_order
from karussell.data.problems.reber import continual
from karussell.data.problems.sequences import Sequences, from_lengths
from karussell.landmarks.literal import LiteralLSTM, Shape, Stream

NO_OUTPUT_GATE = {"output_gate": False, "recurrent": False, "feed_gates": False, "shortcuts": True}
LATER = {"forget_gate": True, "feed_gates": False}
COUNTS = [
    (Shape(7, 4, 1, 7, bias="g"), 264, "1997, 1"),
    (Shape(7, 3, 2, 7, bias="g"), 276, "1997, 1"),
    (Shape(101, 1, 1, 101, bias="", **NO_OUTPUT_GATE), 10_504, "1997, 2a"),
    *((Shape(p + 4, 2, 1, 2, bias=""), n, "1997, 2c") for p, n in ((50, 364), (100, 664), (500, 3064), (1000, 6064))),
    (Shape(1, 3, 1, 1, bias="cg"), 102, "1997, 3"),
    (Shape(2, 2, 2, 1), 93, "1997, 4 and 5"),
    (Shape(8, 2, 2, 4), 156, "1997, 6a"),
    (Shape(8, 3, 2, 8), 308, "1997, 6b"),
    (Shape(7, 4, 2, 7, bias="go", shortcuts=True, **LATER), 424, "2000"),
    (Shape(1, 1, 1, 1, peepholes=True, **LATER), 17, "2002"),
    (Shape(3, 1, 1, 3, peepholes=True, shortcuts=True, **LATER), 38, "2001"),
]
KINDS = [
    Shape(4, 2, 2, 3),
    Shape(4, 1, 1, 3, bias="", g="logistic", h="identity", **NO_OUTPUT_GATE),
    Shape(4, 3, 1, 3, forget_gate=True, feed_gates=False, shortcuts=True, bias="go"),
    Shape(4, 2, 2, 3, forget_gate=True, peepholes=True, g="identity", h="identity", out="identity"),
    Shape(4, 2, 2, 3, input_gate=False, forget_gate=True, peepholes=True),
]


@pytest.mark.parametrize(("shape", "count", "where"), COUNTS, ids=lambda v: v if isinstance(v, str) else "")
def test_published_numbers_of_weights(shape: Shape, count: int, where: str) -> None:
    assert LiteralLSTM(shape, 0, rate=0.1).count == count


def some(seed: int, sparse: bool, inputs: int = 4, outputs: int = 3) -> Sequences:
    """Three short sequences with targets here and there."""
    rng = np.random.default_rng(seed)
    starts = from_lengths([5, 1, 7])
    due = rng.random(13) < 0.6
    due[-1] = True
    targets = rng.random((int(due.sum()), outputs))
    if sparse:
        return Sequences(starts, inputs, due, targets, symbols=rng.integers(0, inputs, 13).astype(np.int32))
    return Sequences(starts, inputs, due, targets, x=rng.normal(size=(13, inputs)))


def gradient(net: LiteralLSTM, sequences: Sequences) -> np.ndarray:
    net.gradient[:] = 0.0
    net.run(sequences, "gradient")
    return net.gradient * net.mask


def error(net: LiteralLSTM, sequences: Sequences) -> float:
    return 0.5 * float(((sequences.targets - net.run(sequences, "never")) ** 2).sum())


@pytest.mark.parametrize("sparse", [True, False], ids=["symbols", "numbers"])
@pytest.mark.parametrize("shape", KINDS, ids=range(len(KINDS)))
def test_gradient_is_that_of_the_truncated_graph(shape: Shape, sparse: bool) -> None:
    net = LiteralLSTM(shape, 3, rate=0.1, init=1.0, carry=0.9)
    sequences = some(7, sparse)
    wanted = truncated_gradient(net, sequences)
    assert np.abs(wanted).max() > 0.01
    np.testing.assert_allclose(gradient(net, sequences), wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("shape", KINDS, ids=range(len(KINDS)))
def test_where_nothing_is_fed_back_it_is_the_full_gradient(shape: Shape) -> None:
    """With all weights from hidden units zero there is nothing to truncate: finite differences must agree."""
    net = LiteralLSTM(shape, 5, rate=0.1, init=1.0)
    parts = net.parts()
    parts.hidden[:, shape.inputs : -1] = 0.0
    parts.peepholes[:] = 0.0
    sequences = some(11, True)
    found = gradient(net, sequences)
    eps = 1e-5
    for k in np.flatnonzero(net.mask):
        kept = net.weights[k]
        net.weights[k] = kept + eps
        above = error(net, sequences)
        net.weights[k] = kept - eps
        below = error(net, sequences)
        net.weights[k] = kept
        # what is learned goes down the error
        assert found[k] == pytest.approx((below - above) / (2 * eps), rel=1e-5, abs=1e-8), k


def test_where_something_is_fed_back_it_is_not() -> None:
    """The check above would notice a truncation: with hidden weights the two gradients differ."""
    net = LiteralLSTM(KINDS[0], 5, rate=0.1, init=1.0)
    sequences = some(11, True)
    assert np.abs(truncated_gradient(net, sequences, cut=False) - gradient(net, sequences)).max() > 1e-3


@pytest.mark.parametrize("sparse", [True, False], ids=["symbols", "numbers"])
def test_learning_rules_agree_on_what_they_share(sparse: bool) -> None:
    """Once a sequence is the gradient times the rate; every step is the same where there is one target."""
    rng = np.random.default_rng(0)
    one = temporal_order(rng, 1) if sparse else adding(rng, 1)
    shape = Shape(one.inputs, 2, 2, one.targets.shape[1])
    nets = [LiteralLSTM(shape, 1, rate=0.3) for _ in range(3)]
    by_gradient = nets[0].weights + 0.3 * gradient(nets[0], one)
    nets[1].run(one, "sequence")
    nets[2].run(one, "step")
    np.testing.assert_allclose(nets[1].weights, by_gradient, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(nets[2].weights, by_gradient, rtol=1e-12, atol=1e-14)


def test_momentum() -> None:
    """v <- m v + rate * gradient at every target."""
    sequences = some(2, False)
    plain, heavy = (LiteralLSTM(KINDS[0], 1, rate=0.1, momentum=m) for m in (0.0, 0.9))
    first = Sequences(from_lengths([1]), 4, np.ones(1, bool), sequences.targets[:1], x=sequences.x[:1])
    start = heavy.weights.copy()
    plain.run(first, "step")
    heavy.run(first, "step")
    np.testing.assert_allclose(heavy.weights, plain.weights, rtol=1e-12)
    held = 0.9 * (heavy.weights - start)
    before = heavy.weights.copy()
    by = gradient_without_momentum(heavy, first)
    heavy.run(first, "step")
    np.testing.assert_allclose(heavy.weights, before + held + 0.1 * by, rtol=1e-12, atol=1e-14)


def gradient_without_momentum(net: LiteralLSTM, sequences: Sequences) -> np.ndarray:
    copy = LiteralLSTM(net.shape, 0, rate=net.rate)
    copy.weights[:] = net.weights
    return gradient(copy, sequences)


def test_a_stream_in_pieces_is_the_stream() -> None:
    sequences = continual(np.random.default_rng(0), 8)
    shape = COUNTS[-3][0]
    whole, pieces = (LiteralLSTM(shape, 2, rate=0.5, decay=0.99) for _ in range(2))
    fresh = np.array([0])
    y = whole.run(sequences, fresh=fresh)
    stream = Stream(pieces, sequences, fresh)
    steps = len(sequences.due)
    found = [stream.advance("step", a, min(a + 13, steps))[1].copy() for a in range(0, steps, 13)]
    np.testing.assert_allclose(np.concatenate(found), y, rtol=1e-12)
    np.testing.assert_allclose(pieces.weights, whole.weights, rtol=1e-12)


def test_a_stream_that_goes_on_is_reset_where_it_is_told() -> None:
    """What a net remembers from the stream before is kept, unless the first step is named as a fresh one."""
    rng = np.random.default_rng(0)
    before, after = continual(rng, 3), continual(rng, 3)
    net = LiteralLSTM(COUNTS[-3][0], 2, rate=0.5)
    nothing, first = np.zeros(0, np.int64), np.zeros(1, np.int64)
    alone = net.run(after, "never", fresh=first).copy()
    found = []
    for fresh in (first, nothing):
        net.run(before, "never", fresh=first)
        found.append(Stream(net, after, fresh, goes_on=True).advance("never")[1].copy())
    np.testing.assert_array_equal(found[0], alone)
    assert np.abs(found[1] - alone).max() > 1e-5


def test_a_stream_stops_at_the_first_wrong_answer() -> None:
    sequences = continual(np.random.default_rng(0), 50)
    net = LiteralLSTM(COUNTS[-3][0], 2, rate=0.5)
    before = net.weights.copy()
    reached, y = Stream(net, sequences, np.array([0])).advance("step", stop=0.49)
    error = np.abs(sequences.targets[:reached] - y).max(1)
    assert (error[:-1] <= 0.49).all()
    assert error[-1] > 0.49
    assert (net.weights != before).any()


def test_stream_after_stream_is_what_single_streams_are() -> None:
    sequences = continual(np.random.default_rng(0), 50)
    shape = COUNTS[-3][0]
    one, many = (LiteralLSTM(shape, 2, rate=0.5, decay=0.99) for _ in range(2))
    lengths = Stream(many, sequences, np.zeros(0, np.int64)).streams("step", sequences.starts[:-1], stop=0.49, most=30)
    assert len(lengths) > 10
    at, found = 0, []
    for begin in sequences.starts[:-1]:
        if begin >= at:
            end = min(int(begin) + 30, len(sequences.due))
            at, _ = Stream(one, sequences, np.array([begin])).advance("step", int(begin), end, stop=0.49)
            found.append(at - int(begin))
    assert lengths.tolist() == found
    np.testing.assert_allclose(many.weights, one.weights, rtol=1e-12)


def test_the_carousel_keeps_the_state() -> None:
    """Experiment 2a's net has no gates but one: what is in the cell stays to the last bit where nothing comes in."""
    shape = Shape(5, 1, 1, 5, bias="", g="logistic", h="identity", **NO_OUTPUT_GATE)
    net = LiteralLSTM(shape, 0, rate=1.0, init=0.0)
    net.parts().hidden[1, 1:-1] = -800.0
    net.parts().hidden[:, 0] = 800.0
    symbols = np.array([0, *np.ones(200, np.int64)], np.int32)
    sequences = Sequences(np.array([0, 201]), 5, np.zeros(201, bool), np.zeros((0, 5)), symbols=symbols)
    assert (net.trace(sequences).states == 1.0).all()


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="the sequences have 101 inputs"):
        LiteralLSTM(KINDS[0], 0, rate=0.1).run(delayed_recall(np.random.default_rng(0), 1))
