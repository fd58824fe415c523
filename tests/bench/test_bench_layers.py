"""The bench of layers: what it refuses, what it finds, and what it says of peers that are not there."""

import json
from dataclasses import replace

import pytest
import torch

from karussell.bench import GROUPS, ParityError, run_layers
from karussell.bench.__main__ import main
from karussell.bench.layers import chosen, measure, rows_of
from karussell.bench.parity import verify
from karussell.bench.peers import TORCHRECURRENT, Peer, eager_loop, installed, torch_layer, torchrecurrent
from karussell.bench.plan import Plan
from karussell.bench.problem import Problem, call_layer
from karussell.cells import GRU, LSTM
from karussell.errors import InputError
from karussell.ops import Engine

SMALL = Problem(LSTM, steps=6, batch=3, hidden=16, training=True)


def wrong_output(layer, x, lengths):
    y, state = call_layer(layer, x, lengths)
    return y + 1e-2, state


def wrong_gradient(layer, x, lengths):
    y, state = call_layer(layer, x, lengths)
    return y * 1.01 - y.detach() * 0.01, state


def wrong_state(layer, x, lengths):
    y, (h, c) = call_layer(layer, x, lengths)
    return y, (h, c.flip(-1))


def nothing(layer, x, lengths):
    y, state = call_layer(layer, x, lengths)
    return y * float("nan"), state


@pytest.mark.parametrize("run", [wrong_output, wrong_gradient, wrong_state, nothing])
def test_nothing_is_timed_that_computes_something_else(run, tmp_path):
    shown, path = [], tmp_path / "result.json"
    with pytest.raises(ParityError, match="is not the reference's"):
        run_layers(["lstm-b1"], quick=True, json=path, threads=1, run=run, show=shown.append, seconds=0.001)
    assert not shown
    assert not path.exists()


def test_another_engine_than_the_one_forced_is_refused():
    def elsewhere(layer, x, lengths):
        layer.engine = Engine.reference
        return call_layer(layer, x, lengths)

    with pytest.raises(ParityError, match=r"'cpp' was forced for lstm, .* but what ran is: reference"):
        verify(SMALL, Engine.cpp, elsewhere)


@pytest.mark.parametrize("cell", [LSTM, GRU], ids=["lstm", "gru"])
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
def test_right_results_are_accepted(cell, ragged):
    verify(replace(SMALL, cell=cell, ragged=ragged), Engine.cpp)


def test_a_small_bench(tmp_path):
    path, said, before = tmp_path / "result.json", [], torch.get_num_threads()
    state = torch.get_rng_state()
    result = run_layers(["lstm-b1", "step"], quick=True, json=path, threads=1, say=said.append, seconds=0.001)
    assert path.read_text() == result.to_json()
    whole = json.loads(path.read_text())
    assert {r["group"] for r in whole["rows"]} == {"lstm-b1", "step", "step-product"}
    assert {r["engine"] for r in whole["rows"]} == {"cpp"}
    first = whole["rows"][0]
    assert min(first["ratio"], first["ours_ms"], first["peer_ms"]) > 0
    assert first["case"] == "inference T100 B1 H64"
    assert whole["machine"]["peak_gflops"]["1"] > 0
    assert any(sentence.startswith("parity: ") for sentence in said)
    assert torch.get_num_threads() == before
    assert torch.equal(torch.get_rng_state(), state)


def test_a_quick_bench_ends_in_time_and_counts_what_it_left_out(monkeypatch):
    monkeypatch.setattr("karussell.bench.layers.QUICK", 0.0)
    said = []
    result = run_layers(["step"], quick=True, threads=1, say=said.append)
    assert result.rows == ()
    assert result.machine["left_out"] == 1
    assert said[-1].startswith("left out for want of time: 1 of 1")


def test_a_peer_that_is_not_installed_is_not_measured():
    peers = (Peer("absent", lambda problem, layer: None), Peer("torch.nn.LSTM", torch_layer, scale=0.5))
    plan = Plan("group", "case", SMALL, Engine.cpp, peers)
    samples, engine = measure(plan, 0.001)
    absent, present = rows_of(plan, 1, samples, engine, peak=1e9)
    assert (absent.peer_ms, absent.ratio, absent.spread) == (None, None, None)
    assert absent.ours_ms == present.ours_ms > 0
    assert present.ratio > 0


def test_rows_are_pairwise_ratios():
    plan = Plan("g", "c", SMALL, Engine.cpp, (Peer("a", torch_layer), Peer("b", eager_loop, scale=2.0, group="h")))
    samples = {"ours": [1.0, 2.0, 4.0], torch_layer: [2.0, 2.0, 2.0], eager_loop: [1.0, 2.0, 4.0]}
    a, b = rows_of(plan, 2, samples, Engine.cpp, peak=SMALL.flops)
    assert (a.ours_ms, a.peer_ms, a.ratio, a.spread, a.threads) == (2000.0, 2000.0, 1.0, 0.75, 2)
    assert (b.group, b.peer_ms, b.ratio, b.spread, b.peak_share) == ("h", 4000.0, 2.0, 0.0, 0.5)
    assert [r.peer for r in rows_of(replace(plan, best=True), 1, samples, Engine.cpp, peak=1.0)] == ["a"]


def test_a_peer_that_computes_something_else_is_refused():
    def other_weights(problem, layer):
        with torch.no_grad():
            return torch_layer(problem, problem.layer(Engine.cpp).apply(lambda m: m.weight_ih_l0.mul_(2)))

    plan = Plan("group", "case", SMALL, Engine.cpp, (Peer("other", other_weights),))
    with pytest.raises(ParityError, match="ours and other do not compute the same"):
        measure(plan, 0.001)


@pytest.mark.parametrize("cell", TORCHRECURRENT, ids=lambda cell: cell.name)
def test_torchrecurrent_computes_the_same_where_it_is_installed(cell):
    problem = replace(SMALL, cell=cell, drop_in=False)
    layer = problem.layer(Engine.reference)
    side = torchrecurrent(problem, layer)
    assert (side is None) == (installed("torchrecurrent") is None)
    if side is not None:
        torch.testing.assert_close(side.output(), layer(problem.x())[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("quick", [True, False])
def test_every_group_has_cases_and_fewer_when_quick(quick):
    for group in GROUPS:
        plans = chosen([group], quick)
        assert plans
        assert len({(p.case, p.problem) for p in plans}) == len(plans)
        assert {p.group for p in plans} == {group}
    assert len(chosen(None, True)) < len(chosen(None, False))


def test_products_are_counted():
    # four gates, each H x I and H x H; the backward makes two products for every one of the forward
    assert SMALL.flops == 3 * 2 * (6 * 3) * 4 * (16 * 16 + 16 * 16)
    ragged = replace(SMALL, ragged=True)
    assert ragged.flops < SMALL.flops


def test_bad_words(tmp_path, capsys):
    with pytest.raises(InputError, match="nonsense is no group of the bench; there are lstm-inference"):
        run_layers(["nonsense"])
    with pytest.raises(InputError, match="it must be a number from 1"):
        run_layers(["step"], threads=0)
    with pytest.raises(InputError, match="folder does not exist"):
        run_layers(["step"], json=tmp_path / "none" / "result.json")
    assert main(["layers", "--groups", "nonsense"]) == 2
    assert "is no group" in capsys.readouterr().err
