"""Options of nn.Recurrent: biases, initial values, masks and their keys, and what is refused."""

import copy
from functools import partial

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from karussell import cells, nn
from karussell.ops import Noise

Recurrent = partial(nn.Recurrent, engine="reference")
X = torch.linspace(-1, 1, 36).view(6, 2, 3)


def rows(layer, gate, weight="b"):
    """The part of a weight that belongs to a gate."""
    part = layer.layers[0]
    widths = [part.cell.width(q, part.hidden) for q in part.biased]
    return dict(zip(part.biased, getattr(part, weight).split(widths), strict=True))[gate]


def test_forget_bias_and_gate_bias():
    layer = Recurrent(cells.LSTM, 3, 4, forget_bias=1.0, gate_bias={"o": lambda n: -torch.arange(1.0, n + 1)})
    assert (rows(layer, "f") == 1).all()
    assert rows(layer, "o").tolist() == [-1, -2, -3, -4]
    assert (rows(layer, "i").abs() <= 1).all()
    assert (rows(layer, "i") != 0).all()
    with torch.no_grad():
        layer.layers[0].b.zero_()
    layer.reset_parameters()
    assert (rows(layer, "f") == 1).all()


def test_gate_bias_of_a_split_gate_is_the_sum_of_its_two():
    part = Recurrent(cells.GRU, 3, 4, gate_bias={"n": 0.5}).layers[0]
    assert (part.b[8:] == 0.5).all()
    assert (part.b_r == 0).all()


def test_one_bias_a_gate_and_two_for_split_gates():
    for cell, count in ((cells.LSTM, 16), (cells.GRU, 16), (cells.GRUResetBefore, 12), (cells.RecurrentHighway, 16)):
        part = Recurrent(cell, 3, 4).layers[0]
        assert sum(p.numel() for n, p in part.named_parameters() if n.startswith("b")) == count


def test_biases_of_some_gates_only():
    full = Recurrent(cells.LSTM, 3, 4)
    some = Recurrent(cells.LSTM, 3, 4, bias=("o", "f"))
    part = some.layers[0]
    assert part.biased == ("f", "o")
    assert part.b.shape == (8,)
    with torch.no_grad():
        full.layers[0].w.copy_(part.w)
        full.layers[0].r.copy_(part.r)
        full.layers[0].b.copy_(torch.cat([torch.zeros(4), part.b[:4], torch.zeros(4), part.b[4:]]))
    torch.testing.assert_close(some(X)[0], full(X)[0], rtol=0, atol=0)
    none = Recurrent(cells.GRU, 3, 4, bias=False)
    assert none.layers[0].b is None
    assert none.layers[0].b_r is None
    assert Recurrent(cells.GRU, 3, 4, bias="z").layers[0].b_r is None
    assert none(X)[0].shape == (6, 2, 4)
    torch.manual_seed(0)
    a = Recurrent(cells.LSTM, 3, 4, bias=("f",))
    torch.manual_seed(0)
    b = Recurrent(cells.LSTM, 3, 4)
    torch.testing.assert_close(rows(a, "f"), rows(b, "f"), rtol=0, atol=0)


def test_matrices_are_filled_gate_by_gate():
    layer = Recurrent(
        cells.LSTM,
        3,
        4,
        2,
        init_recurrent=torch.nn.init.orthogonal_,
        init_input={"g": lambda w: torch.nn.init.constant_(w, 0.25)},
    )
    for part in layer.layers:
        for r in part.r.detach().split(4):
            torch.testing.assert_close(r @ r.T, torch.eye(4))
        assert (part.w[8:12] == 0.25).all()
        assert (part.w[:8].abs() <= 0.5).all()


def test_unit_vectors_start_as_their_cell_says():
    assert (Recurrent(cells.PeepholeLSTM, 3, 4).layers[0].units["p_i"] == 0).all()
    torch.testing.assert_close(Recurrent(cells.IndRNN, 3, 5).layers[0].units["u"].detach(), torch.linspace(0, 1, 5))


@pytest.mark.parametrize(
    "options",
    [
        {"zoneout": 0.3},
        {"zoneout": {"c": 0.3}},
        {"recurrent_dropout": 0.3},
        {"recurrent_dropout": 0.3, "recurrent_dropout_on": "candidate"},
        {"dropout": 0.3},
        {"dropout": 0.3, "zoneout": 0.2, "recurrent_dropout": 0.2, "layer_norm": True, "residual": True},
    ],
    ids=str,
)
def test_masks_are_keyed_by_seed_and_count(options):
    layer = Recurrent(cells.LSTM, 3, 4, 2, bidirectional=True, seed=3, **options)
    twin = copy.deepcopy(layer)
    first, second = layer(X)[0], layer(X)[0]
    assert not torch.allclose(first, second), "every forward draws anew"
    assert layer.forwards.item() == 2
    twin(X)
    resumed = Recurrent(cells.LSTM, 3, 4, 2, bidirectional=True, seed=3, **options)
    resumed.load_state_dict(twin.state_dict())
    torch.testing.assert_close(resumed(X)[0], second, rtol=0, atol=0)
    given = layer(X, noise=Noise(3, 0))[0]
    torch.testing.assert_close(given, first, rtol=0, atol=0)
    assert layer.forwards.item() == 2, "an explicit key is not counted"
    assert not torch.allclose(layer(X, noise=Noise(4, 0))[0], first)
    layer.eval()
    torch.testing.assert_close(layer(X)[0], layer(X)[0], rtol=0, atol=0)
    assert layer.forwards.item() == 2


def test_a_layer_without_masks_counts_nothing():
    layer = Recurrent(cells.LSTM, 3, 4, 2)
    layer(X)
    assert layer.forwards.item() == 0
    assert layer.forwards.dtype == torch.int64


def test_every_layer_and_direction_has_masks_of_its_own():
    layer = Recurrent(cells.LSTM, 4, 4, 2, bidirectional=True, zoneout={"h": 0.5})
    seen = layer.inspect(torch.randn(40, 2, 4)).states
    # what did not change between two steps was zoned out
    kept = [s.h[1:] == s.h[:-1] for s in seen]
    for k in range(4):
        for j in range(k):
            agree = (kept[k] == kept[j]).float().mean()
            assert 0.4 < agree < 0.6, f"streams {j} and {k} agree in {agree:.2f} of all places"


def test_dropout_between_layers_drops_outputs():
    layer = Recurrent(cells.RNN, 3, 200, 2, dropout=0.25, bias=False)
    with torch.no_grad():
        layer.layers[1].w.copy_(0.001 * torch.eye(200))
        layer.layers[1].r.zero_()
    x = torch.randn(6, 2, 3)
    seen = layer.inspect(x).states
    ratio = torch.atanh(seen[1].h) / (0.001 * seen[0].h)
    dropped = ratio.abs() < 1e-6
    torch.testing.assert_close(ratio[~dropped], torch.full_like(ratio[~dropped], 1 / 0.75), rtol=1e-3, atol=1e-3)
    assert abs(dropped.float().mean().item() - 0.25) < 0.05


def make(*sizes, **options):
    return lambda: Recurrent(*sizes, **options)


WRONG = {
    "no_forget_gate": (make(cells.GRU, 3, 4, forget_bias=1.0), "gru has no forget gate 'f'; its gates are r, z, n"),
    "forget_twice": (make(cells.LSTM, 3, 4, forget_bias=1.0, gate_bias={"f": 2.0}), "give one of them"),
    "gate_bias_name": (
        make(cells.LSTM, 3, 4, gate_bias={"q": 1.0}),
        "gate_bias names 'q', but lstm has the gates i, f",
    ),
    "gate_bias_bare": (make(cells.LSTM, 3, 4, bias=False, gate_bias={"f": 1.0}), "gates f have no bias here"),
    "bias_name": (make(cells.LSTM, 3, 4, bias=("q",)), "bias names 'q'"),
    "init_name": (make(cells.LSTM, 3, 4, init_input={"q": torch.nn.init.zeros_}), "init_input names 'q'"),
    "init_number": (make(cells.LSTM, 3, 4, init_recurrent=0.1), "init_recurrent: give a function"),
    "zoneout_name": (make(cells.GRU, 3, 4, zoneout={"c": 0.1}), "zoneout names 'c', but gru has the states h"),
    "zoneout_rate": (make(cells.GRU, 3, 4, zoneout=1.5), "probability"),
    "candidate": (make(cells.RNN, 3, 4, recurrent_dropout=0.1, recurrent_dropout_on="candidate"), "takes no `drop`"),
    "seen": (make(cells.MinGRU, 3, 4, recurrent_dropout=0.1), "no recurrent matrix"),
    "dropout": (make(cells.LSTM, 3, 4, 2, dropout=1.0), "dropout is 1.0; it is a probability"),
    "sizes": (make(cells.LSTM, 3, 0), "hidden_size is 0; it must be a whole number from 1"),
    "proj_big": (make(cells.LSTM, 3, 4, proj_size=4), "must be below hidden_size"),
    "proj_read": (make(cells.GRU, 3, 4, proj_size=2), "gru: its step computes with the output 'h' unit by unit"),
    "proj_blocks": (make(cells.LSTM.with_blocks(2), 3, 4, proj_size=2), "needs a dense recurrent matrix"),
    "vector": (make(cells.LSTM, 3, 4, gate_bias={"f": lambda n: torch.zeros(n + 1)}), "gave .5. values for 4 units"),
}


@pytest.mark.parametrize(("build", "words"), WRONG.values(), ids=WRONG)
def test_an_option_that_does_not_fit_is_refused(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_calls_that_do_not_fit_are_refused():
    layer = Recurrent(cells.LSTM, 3, 4, 2)
    with pytest.raises(ValueError, match=r"x is \[6, 3\]; it must be \[T, B, input_size\] with input_size = 3"):
        layer(X[:, 0])
    with pytest.raises(ValueError, match=r"\[B, T, input_size\]"):
        Recurrent(cells.LSTM, 5, 4, batch_first=True)(X)
    with pytest.raises(ValueError, match="x is a PackedSequence"):
        layer(pack_sequence([X[:, 0]]))
    with pytest.raises(ValueError, match="state is one tensor; lstm has the states h, c"):
        layer(X, torch.zeros(2, 2, 4))
    with pytest.raises(ValueError, match=r"state.c is \[2, 2, 5\].*\[layers \* directions, B, width\] = \[2, 2, 4\]"):
        layer(X, (torch.zeros(2, 2, 4), torch.zeros(2, 2, 5)))
    with pytest.raises(ValueError, match="lengths run from 2 to 7"):
        layer(X, lengths=[2, 7])
