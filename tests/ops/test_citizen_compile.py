"""torch.compile: one graph without a break, whatever T and B are, forward and backward, on the compiled engine."""

import copy
import shutil

import pytest
import torch
from torch._dynamo.utils import counters

from karussell import cells, nn
from karussell.cells import Cell
from karussell.ops import Noise, recurrence, watch
from user_cells import Case, Gap, Looking, tame


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def compiled(function, backend="aot_eager", dynamic=True):
    return torch.compile(function, fullgraph=True, backend=backend, dynamic=dynamic)


LAYERS = {
    "recurrent": lambda: nn.Recurrent(cells.PeepholeLSTM, 5, 6, 2, bidirectional=True),
    "lstm": lambda: nn.LSTM(5, 6, 2, bidirectional=True),
}


def outcome(layer, call, x, lengths):
    x = x.clone().requires_grad_()
    y, state = call(x, lengths)
    values = [y, *state]
    weights = [v.detach().cos() for v in values]
    return [*values, *torch.autograd.grad(values, [x, *layer.parameters()], weights)]


@pytest.mark.parametrize("kind", LAYERS)
def test_two_layers_both_ways_with_lengths(kind):
    layer = LAYERS[kind]()
    twin = copy.deepcopy(layer)
    twin.engine = "cpp"  # which `auto` takes in a graph
    call = compiled(lambda x, lengths: layer(x, lengths=lengths))
    for steps in range(11, 31):
        batch = 2 + steps % 3
        x, lengths = torch.randn(steps, batch, 5), torch.randint(0, steps + 1, (batch,))
        # no graph but the first one
        with torch._dynamo.config.patch(error_on_recompile=steps > 11), watch() as ran:
            found = outcome(layer, call, x, lengths)
        assert ran == ["cpp"] * 4
        for a, b in zip(found, outcome(twin, lambda x, n: twin(x, lengths=n), x, lengths), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch's compiler needs g++")
def test_through_torchs_own_code():
    layer = nn.Recurrent(cells.GRU, 5, 6, bidirectional=True, engine="cpp")
    call = compiled(lambda x, lengths: layer(x.tanh(), lengths=lengths), "inductor")
    x, lengths = torch.randn(7, 3, 5), torch.tensor([7, 0, 4])
    found = outcome(layer, call, x, lengths)
    for a, b in zip(found, outcome(layer, lambda x, n: layer(x.tanh(), lengths=n), x, lengths), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_time_is_not_unrolled():
    layer, sizes = nn.LSTM(5, 6), []

    def count(graph, example):
        sizes.append(len(graph.graph.nodes))
        return graph.forward

    for steps in (2, 500):
        torch._dynamo.reset()
        torch.compile(layer, fullgraph=True, backend=count, dynamic=False)(torch.randn(steps, 2, 5))
    assert sizes[0] == sizes[1]


STRUCTURED: tuple[Cell, ...] = (
    cells.LSTM1997.with_blocks(2),
    cells.LSTM.with_heads(2),
    cells.ClockworkRNN,
    cells.GRUResetBefore,
    cells.MinLSTM,
    Looking,
    Gap,
)


@pytest.mark.parametrize("cell", STRUCTURED, ids=lambda cell: cell.name)
def test_every_kind_of_cell(problem, cell):
    p = tame(problem, cell, Case(4, 3, 6), torch.float32)

    def run(x):
        result = recurrence(p.cell, x, p.weights, p.state, inputs=p.inputs, every_state=True, reverse=True)
        return result.y, *result.state, *result.states

    with watch() as ran:
        found = compiled(run, "eager", dynamic=None)(p.x)
    assert ran == ["cpp"]
    for a, b in zip(found, run(p.x), strict=True):
        assert torch.equal(a, b)


def test_lengths_that_do_not_fit_are_found_when_it_runs():
    layer = nn.GRU(3, 4)
    call = compiled(lambda x, lengths: layer(x, lengths=lengths)[0], "aot_eager")
    x = torch.randn(5, 2, 3)
    assert (call(x, torch.tensor([5, 1]))[1:, 1] == 0).all()
    with pytest.raises(ValueError, match="lengths run from 1 to 6, but x has 5 steps"):
        call(x, torch.tensor([6, 1]))


def test_inference_and_training_are_two_graphs():
    layer = nn.LSTM(3, 4, engine="cpp")
    call = compiled(lambda x: layer(x)[0], "aot_eager")
    x = torch.randn(5, 2, 3)
    with torch.no_grad():
        y = call(x)
    assert not y.requires_grad
    assert call(x).requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(call(x), layer(x)[0], rtol=0, atol=0)
    layer.eval().requires_grad_(False)
    assert not call(x).requires_grad


def test_under_autocast_a_compiled_layer_is_single_precision():
    net = torch.nn.Sequential(torch.nn.Linear(3, 5), nn.LSTM(5, 4, engine="cpp"))
    call = compiled(net, "aot_eager")
    x = torch.randn(5, 2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        y, (h, _) = call(x)
        torch.testing.assert_close(y, net(x)[0], rtol=0, atol=0)
    assert y.dtype == h.dtype == torch.float32
    y.sum().backward()
    assert all(w.grad.isfinite().all() for w in net.parameters())


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_masks_in_a_graph_are_those_outside(backend):
    options = {"dropout": 0.3, "zoneout": 0.1, "recurrent_dropout": 0.1, "layer_norm": True, "learned_state": True}
    layer = nn.Recurrent(cells.LSTM, 3, 4, 2, seed=5, **options)
    other = copy.deepcopy(layer)
    call = compiled(lambda x, noise=None: layer(x, noise=noise)[0], backend)
    for steps in (4, 6, 9):
        x = torch.randn(steps, 3, 3, requires_grad=True)
        with torch._dynamo.config.patch(error_on_recompile=steps > 4), watch() as ran:
            y = call(x)
        assert ran == ["cpp"] * 2
        twin = other(x)[0]
        assert torch.equal(y, twin)
        assert torch.equal(*(torch.autograd.grad(v.square().sum(), x)[0] for v in (y, twin)))
        assert layer.forwards == other.forwards
    for step in (3, 4, 5, 6):
        # a number given is a constant once, then a symbol
        with torch._dynamo.config.patch(error_on_recompile=step > 4):
            assert torch.equal(call(x, Noise(1, step)), other(x, noise=Noise(1, step))[0])


def test_a_single_sequence_a_state_and_dropout_between_layers():
    layer = nn.LSTM(3, 4, 2, dropout=0.5, batch_first=True)
    call = compiled(layer, "aot_eager")
    x, state = torch.randn(5, 3), (torch.randn(2, 4), torch.randn(2, 4))
    assert call(x, state)[0].shape == (5, 4)
    layer.eval()
    torch.testing.assert_close(call(x, state)[0], layer(x, state)[0])
