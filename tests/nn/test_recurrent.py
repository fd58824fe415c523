"""nn.Recurrent: one layer for every cell, and the stack around it."""

import copy
from functools import partial

import pytest
import torch
from torch.nn.utils import parametrizations

from karussell import cells, nn
from karussell.ops import watch

Recurrent = partial(nn.Recurrent, engine="reference")
EXACT = {"rtol": 0, "atol": 1e-6}


def named(cell):
    return cell.name


def state_like(layer, batch, seed=0):
    """A random state; the clockwork's time is a whole number."""
    generator = torch.Generator().manual_seed(seed)
    zeros = layer.initial_state(batch)
    drawn = [torch.randn(v.shape, generator=generator) for v in zeros]
    return type(zeros)(*(v if n != "t" else torch.full_like(v, 3.0) for n, v in zip(zeros._fields, drawn, strict=True)))


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one_way", "both_ways"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("cell", "kind"), [(cells.LSTM, "LSTM"), (cells.GRU, "GRU"), (cells.RNN, "RNN")])
def test_the_same_seed_gives_torchs_net(cell, kind, layers, bidirectional):
    torch.manual_seed(5)
    theirs = getattr(torch.nn, kind)(3, 4, layers, bidirectional=bidirectional)
    torch.manual_seed(5)
    ours = Recurrent(cell, 3, 4, layers, bidirectional=bidirectional)
    x = torch.randn(6, 2, 3)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], **EXACT)


def test_projection_and_its_seed():
    torch.manual_seed(5)
    theirs = torch.nn.LSTM(3, 4, 2, proj_size=2, bidirectional=True)
    torch.manual_seed(5)
    ours = Recurrent(cells.LSTM, 3, 4, 2, proj_size=2, bidirectional=True)
    x = torch.randn(6, 2, 3)
    y, state = ours(x)
    torch.testing.assert_close(y, theirs(x)[0], **EXACT)
    assert state.h.shape == (4, 2, 2)
    assert state.c.shape == (4, 2, 4)
    assert ours.output_size == 4


@pytest.mark.parametrize("cell", cells.CELLS, ids=named)
def test_every_cell_stacks_in_both_directions(cell):
    layer = Recurrent(cell, 3, 4, 2, bidirectional=True, batch_first=True)
    x, lengths = torch.randn(3, 5, 3, requires_grad=True), [5, 2, 4]
    y, state = layer(x, state_like(layer, 3), lengths=lengths)
    assert y.shape == (3, 5, 8)
    assert type(state) is cell.State
    assert all(s.shape == (4, 3, 4) for s in state)
    assert all((y[b, n:] == 0).all() for b, n in enumerate(lengths))
    leaves = [x, *layer.parameters()]
    assert all(g is not None and g.isfinite().all() for g in torch.autograd.grad(y.sum(), leaves))
    again = Recurrent(cell, 3, 4, 2, bidirectional=True, batch_first=True)
    again.load_state_dict(layer.state_dict())
    torch.testing.assert_close(again(x, lengths=lengths)[0], layer(x, lengths=lengths)[0], rtol=0, atol=0)
    twin = copy.deepcopy(layer)
    assert twin.cell is layer.cell
    torch.testing.assert_close(twin(x)[0], layer(x)[0], rtol=0, atol=0)
    assert layer.double()(x.double())[0].dtype == torch.float64


@pytest.mark.parametrize("cell", cells.CELLS, ids=named)
def test_pieces_with_carried_state_are_the_whole(cell):
    layer = Recurrent(cell, 3, 4, 2)
    x, state = torch.randn(7, 2, 3), state_like(layer, 2)
    whole, final = layer(x, state)
    first, carried = layer(x[:3], state)
    second, last = layer(x[3:], carried)
    torch.testing.assert_close(torch.cat([first, second]), whole, **EXACT)
    for a, b in zip(last, final, strict=True):
        torch.testing.assert_close(a, b, **EXACT)


def test_truncated_backpropagation_cuts_where_it_is_told():
    layer = Recurrent(cells.LSTM, 3, 4)
    x = torch.randn(6, 2, 3, requires_grad=True)
    _, state = layer(x[:3])
    cut = nn.detach(state)
    assert type(cut) is type(state)
    layer(x[3:], cut)[0].sum().backward()
    assert (x.grad[:3] == 0).all()
    assert (x.grad[3:] != 0).any()
    h, c = nn.detach((state.h, state.c))
    assert not h.requires_grad
    assert not nn.detach(state.h).requires_grad
    assert type(nn.detach((h, c))) is tuple


def test_batch_first_turns_everything():
    turned = Recurrent(cells.LSTM, 3, 4, 2, bidirectional=True, batch_first=True)
    plain = Recurrent(cells.LSTM, 3, 4, 2, bidirectional=True)
    plain.load_state_dict(turned.state_dict())
    x, resets = torch.randn(5, 2, 3), torch.rand(5, 2) < 0.3
    a = plain.inspect(x, resets=resets)
    b = turned.inspect(x.transpose(0, 1), resets=resets.T)
    torch.testing.assert_close(b.y.transpose(0, 1), a.y, rtol=0, atol=0)
    for u, v in zip(a.states, b.states, strict=True):
        torch.testing.assert_close(v.c.transpose(0, 1), u.c, rtol=0, atol=0)
    for u, v in zip(a.gates, b.gates, strict=True):
        torch.testing.assert_close(v["f"].transpose(0, 1), u["f"], rtol=0, atol=0)
    torch.testing.assert_close(a.state, b.state)


def test_inspection_shows_states_and_gates_of_every_layer():
    layer = Recurrent(cells.LSTM, 3, 4, 2, bidirectional=True)
    x = torch.randn(5, 2, 3)
    seen = layer.inspect(x, lengths=[5, 3])
    y, state = layer(x, lengths=[5, 3])
    torch.testing.assert_close(seen.y, y)
    torch.testing.assert_close(seen.state, state)
    assert len(seen.states) == len(seen.gates) == len(seen.engines) == 4
    forth, back = seen.states[2], seen.states[3]
    torch.testing.assert_close(torch.cat([forth.h, back.h], -1), y)
    gates = {n: torch.sigmoid(v) for n, v in seen.gates[0].items()}
    c = gates["f"][0] * 0 + gates["i"][0] * torch.tanh(seen.gates[0]["g"][0])
    torch.testing.assert_close(seen.states[0].c[0], c)
    assert (seen.gates[0]["f"][3:, 1] == 0).all(), "nothing beyond the end"


def test_resets_start_from_the_learned_state():
    layer = Recurrent(cells.LSTM, 3, 4, 2, bidirectional=True, learned_state=True)
    assert sum(n.startswith("layers.0.start.") for n, _ in layer.named_parameters()) == 2
    with torch.no_grad():
        for part in layer.layers:
            for start in part.start.values():
                start.normal_()
    x = torch.randn(6, 1, 3)
    resets = torch.zeros(6, 1, dtype=torch.bool)
    resets[4] = True
    one = Recurrent(cells.LSTM, 3, 4, learned_state=True)
    one.layers[0].load_state_dict(layer.layers[0].state_dict())
    whole = one(x, state_like(one, 1), resets=resets)[0]
    torch.testing.assert_close(whole[4:], one(x[4:])[0], **EXACT)
    torch.testing.assert_close(one(x)[0], one(x, one.initial_state(1))[0])
    layer(x, resets=resets)[0].sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


def test_a_time_that_only_counts_is_not_learned():
    layer = Recurrent(cells.ClockworkRNN, 3, 4, learned_state=True, zoneout=0.1)
    assert set(layer.layers[0].start) == {"h"}
    assert layer.zoneout == {"h": 0.1}
    assert not any("constant" in n for n in layer.state_dict())


def test_residual_layers_add_what_they_see():
    layer = Recurrent(cells.GRU, 3, 4, 3, residual=True)
    x = torch.randn(5, 2, 3)
    y = layer(x)[0]
    seen = layer.inspect(x).states
    torch.testing.assert_close(y, seen[0].h + seen[1].h + seen[2].h)
    with pytest.warns(UserWarning, match="act between layers"):
        Recurrent(cells.GRU, 3, 4, residual=True)


def test_residual_refuses_unequal_widths():
    from karussell.nn.stack import stack
    from karussell.ops import Engine, Result

    def run(x, index, reverse):
        y = x[..., :-1]
        return Result(y, (y[-1],), None, None, Engine.reference)

    with pytest.raises(ValueError, match="residual: layer 1 takes 4 values a step and gives 3"):
        stack(run, torch.zeros(2, 1, 5), 2, 1, residual=True)


def test_parametrised_and_replaced_weights_are_used():
    layer = Recurrent(cells.LSTM, 3, 4)
    x = torch.randn(5, 2, 3)
    parametrizations.weight_norm(layer.layers[0], "r")
    before = layer(x)[0]
    with torch.no_grad():
        layer.layers[0].parametrizations.r.original0.mul_(2)
    assert not torch.allclose(layer(x)[0], before)
    layer = Recurrent(cells.LSTM, 3, 4)
    zeros = {n: torch.zeros_like(p) for n, p in layer.named_parameters()}
    assert (torch.func.functional_call(layer, zeros, (x,))[0] == 0).all()


def test_autocast_keeps_the_precision_of_the_weights():
    layer = Recurrent(cells.PeepholeLSTM, 3, 4, 2)
    x = torch.randn(5, 2, 3).bfloat16()
    expected = layer(x.float())[0]
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(x)[0], expected, rtol=0, atol=0)


def test_what_ran_is_known():
    layer = Recurrent(cells.LSTM, 3, 4, 2, bidirectional=True)
    with watch() as ran:
        layer(torch.randn(5, 2, 3))
    assert ran == ["reference"] * 4
    assert layer.inspect(torch.randn(5, 2, 3)).engines == ("reference",) * 4
    assert repr(layer).splitlines()[0] == "Recurrent("
    assert "lstm, 3, 4, num_layers=2, bidirectional=True" in layer.extra_repr()
