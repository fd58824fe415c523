"""The groups `compile` and `scan` of the bench of layers."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from karussell.bench import ParityError, compiled, run_layers
from karussell.bench.layers import chosen
from karussell.bench.problem import Problem, call_layer
from karussell.cells import LSTM
from karussell.ops import Engine

DEEP = Problem(LSTM, steps=4, batch=3, hidden=16, training=True, ragged=True, deep=True)


def test_a_scan_is_timed_beside_the_loop_and_the_compiled_engine():
    result = run_layers(["scan"], quick=True, threads=1, seconds=0.001)
    assert [(r.group, r.peer, r.engine) for r in result.rows] == [
        ("scan", "eager loop", "scan"),
        ("scan-by-cpp", "cpp", "scan"),
    ]


def test_a_graph_is_compared_with_the_reference_before_it_is_timed(monkeypatch):
    # the same graph without torch's code generator, which takes its time
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    compiled.verify(DEEP, Engine.cpp, call_layer)

    def wrong(layer, x, lengths):
        y, state = call_layer(layer, x, lengths)
        return y * 1.01, state

    with pytest.raises(ParityError, match="the output is not the reference's"):
        compiled.verify(DEEP, Engine.cpp, wrong)


def test_the_compiled_case_is_the_network_with_lengths():
    first = chosen(["compile"], quick=True)[0]
    assert (first.problem.deep, first.problem.ragged, first.problem.training) == (True, True, True)
    one = replace(DEEP, deep=False)
    # two directions of a layer as wide as its input, and two of one that sees both
    assert DEEP.products == 2 * one.products + 2 * (4 * 16 * 32 + 4 * 16 * 16)
    assert sum(p.numel() for p in DEEP.layer(Engine.cpp).parameters() if p.dim() == 2) == DEEP.products
    torch.compiler.reset()
