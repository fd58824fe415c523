"""One step: every side computes the same, and ours is checked before it is timed."""

import pytest
import torch

from karussell.bench import step
from karussell.bench.parity import ParityError
from karussell.bench.peers import installed
from karussell.bench.problem import Problem, call_layer
from karussell.cells import LSTM
from karussell.ops import Engine

PROBLEM = Problem(LSTM, steps=1, batch=1, hidden=12, training=False)


@pytest.mark.parametrize("peer", step.PEERS, ids=lambda p: p.name)
def test_peers_compute_the_same_step(peer):
    layer = PROBLEM.layer(Engine.reference)
    side = peer.make(PROBLEM, layer)
    assert (side is None) == (peer.name.startswith("onnx") and installed("onnxruntime") is None)
    if side is not None:
        torch.testing.assert_close(side.output(), layer(PROBLEM.x())[0], rtol=1e-4, atol=1e-5)
        side.call()


def test_the_product_alone_has_the_size_of_the_step():
    side = step.product(PROBLEM, PROBLEM.layer(Engine.reference))
    assert side.call().shape == (48,)


def test_our_step_is_the_reference():
    step.verify(PROBLEM, Engine.cpp, call_layer)


def test_a_wrong_step_is_not_timed():
    def broken(layer, x, lengths):
        y, state = call_layer(layer, x, lengths)
        return y * 1.001, state

    if not hasattr(PROBLEM.layer(Engine.cpp), "stepper"):
        with pytest.raises(ParityError, match="one step, lstm"):
            step.verify(PROBLEM, Engine.cpp, broken)
