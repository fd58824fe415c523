"""What torch tests of its recurrent modules, re-expressed for ours, beside what test_drop_in and test_single hold."""

import warnings

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence, pad_sequence

from karussell import cells, nn

ENGINES = ["auto", "cpp", "reference"]
KINDS = {
    "lstm": lambda **o: nn.LSTM(3, 4, 2, **o),
    "projected": lambda **o: nn.LSTM(3, 4, 2, proj_size=2, **(o | {"engine": "auto"})),
    "gru": lambda **o: nn.GRU(3, 4, 2, **o),
    "rnn": lambda **o: nn.RNN(3, 4, 2, **o),
}
kinds = pytest.mark.parametrize("kind", KINDS)
engines = pytest.mark.parametrize("engine", ENGINES)


def states(state):
    return (state,) if isinstance(state, torch.Tensor) else tuple(state)


def drawn(layer, x):
    """An initial state, such as the layer takes."""
    found = [torch.randn_like(s) for s in states(layer(x)[1])]
    return found[0] if len(found) == 1 else tuple(found)


def same(a, b):
    torch.testing.assert_close(a[0], b[0])
    for s, t in zip(states(a[1]), states(b[1]), strict=True):
        torch.testing.assert_close(s, t)


@engines
@kinds
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "batch_first": True}], ids=str)
def test_one_sequence_without_a_batch(kind, options, engine):
    layer, x = KINDS[kind](engine=engine, **options), torch.randn(5, 3)
    batched = x[None] if options else x[:, None]
    state = drawn(layer, x)
    whole = tuple(s[:, None] for s in states(state))
    found = layer(x, state)
    y, last = layer(batched, whole[0] if isinstance(state, torch.Tensor) else whole)
    squeezed = tuple(s[:, 0] for s in states(last))
    same(found, (y[0] if options else y[:, 0], squeezed))
    assert found[0].dim() == 2
    assert all(s.dim() == 2 for s in states(found[1]))


@engines
@kinds
def test_zeros_are_what_stands_for_no_state(kind, engine):
    layer, x = KINDS[kind](engine=engine), torch.randn(5, 2, 3)
    zeros = tuple(torch.zeros_like(s) for s in states(layer(x)[1]))
    same(layer(x), layer(x, zeros[0] if len(zeros) == 1 else zeros))


@engines
@kinds
@pytest.mark.parametrize("sort", [True, False], ids=["sorted", "as_it_comes"])
def test_packed_rows_with_a_state_are_the_rows_alone(kind, sort, engine):
    layer = KINDS[kind](engine=engine, bidirectional=True)
    rows = [torch.randn(n, 3, requires_grad=True) for n in ((6, 4, 4, 1) if sort else (4, 1, 6, 4))]
    state = drawn(layer, pad_sequence(rows))
    y, last = layer(pack_sequence(rows, enforce_sorted=sort), state)
    assert isinstance(y, PackedSequence)
    padded, lengths = pad_packed_sequence(y)
    for k, row in enumerate(rows):
        own = tuple(s[:, k] for s in states(state))
        alone = layer(row, own[0] if len(own) == 1 else own)
        same((padded[: lengths[k], k], tuple(s[:, k] for s in states(last))), alone)
    grads = torch.autograd.grad(y.data.square().sum(), rows)
    for k, (row, g) in enumerate(zip(rows, grads, strict=True)):
        own = tuple(s[:, k] for s in states(state))
        torch.testing.assert_close(
            g, torch.autograd.grad(layer(row, own[0] if len(own) == 1 else own)[0].square().sum(), row)[0]
        )


@kinds
def test_packing_in_batch_first_layers(kind):
    layer = KINDS[kind](batch_first=True, engine="auto")
    x = torch.randn(3, 5, 3)
    y, _ = layer(pack_padded_sequence(x, [5, 2, 3], batch_first=True, enforce_sorted=False))
    padded, lengths = pad_packed_sequence(y, batch_first=True)
    torch.testing.assert_close(padded, layer(x, lengths=lengths)[0])


@engines
@kinds
def test_a_retained_graph_gives_its_gradients_twice(kind, engine):
    layer = KINDS[kind](engine=engine, dtype=torch.float64)
    x = torch.randn(5, 2, 3, requires_grad=True, dtype=torch.float64)
    loss = layer(x)[0].sum()
    leaves = [x, *layer.parameters()]
    first = torch.autograd.grad(loss, leaves, retain_graph=True)
    for a, b in zip(first, torch.autograd.grad(loss, leaves), strict=True):
        torch.testing.assert_close(a, b)


@engines
@kinds
def test_states_and_inputs_that_lie_crosswise(kind, engine):
    layer = KINDS[kind](engine=engine)
    x = torch.randn(2, 3, 5).permute(2, 0, 1)
    state = drawn(layer, x)
    crosswise = tuple(s.transpose(0, 1).contiguous().transpose(0, 1) for s in states(state))
    assert not any(s.is_contiguous() for s in crosswise)
    same(layer(x, crosswise[0] if len(crosswise) == 1 else crosswise), layer(x.contiguous(), state))


@engines
@kinds
def test_a_batch_without_rows(kind, engine):
    layer = KINDS[kind](engine=engine, bidirectional=True)
    x = torch.randn(5, 0, 3, requires_grad=True)
    y, state = layer(x, lengths=torch.zeros(0, dtype=torch.int64))
    assert y.shape == (5, 0, 4 if kind == "projected" else 8)
    assert all(s.shape[:2] == (4, 0) for s in states(state))
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert all(p.grad is None or (p.grad == 0).all() for p in layer.parameters())


@kinds
def test_dropout_can_be_changed_and_is_off_in_evaluation(kind):
    layer, x = KINDS[kind](engine="auto", dropout=0.0), torch.randn(5, 2, 3)
    expected = layer(x)[0]
    layer.dropout = 0.9
    assert not torch.allclose(layer(x)[0], expected)
    torch.testing.assert_close(layer.eval()(x)[0], expected)
    # all that a layer sees gone: only its state is left
    layer.train().dropout = 1.0
    assert torch.isfinite(layer(x)[0]).all()


def test_dropout_with_one_layer_warns():
    for make in (nn.LSTM, nn.GRU, nn.RNN, lambda *s, **o: nn.Recurrent(cells.LSTM, *s, **o)):
        with pytest.warns(UserWarning, match="num_layers greater than 1"):
            make(3, 4, dropout=0.5)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            make(3, 4, num_layers=2, dropout=0.5)


def test_a_weight_changed_in_place_is_used_and_a_stale_graph_refused():
    layer, x = nn.LSTM(3, 4, engine="cpp"), torch.randn(5, 2, 3)
    y = layer(x)[0]
    with torch.no_grad():
        layer.weight_hh_l0.mul_(2)
    assert not torch.allclose(layer(x)[0], y)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


WRONG = {
    "packed": (lambda r: r(pack_sequence([torch.zeros(4, 3), torch.zeros(2, 3)])), r"x is a PackedSequence; give \[T"),
    "unbatched": (lambda r: r(torch.zeros(5, 3)), r"x is \[5, 3\]; it must be \[T, B, input_size\].*a batch of one"),
    "width": (lambda r: r(torch.zeros(5, 2, 7)), r"x is \[5, 2, 7\].*with input_size = 3"),
    "state": (lambda r: r(torch.zeros(5, 2, 3), torch.zeros(2, 2, 4)), "state is one tensor; lstm has the states h, c"),
    "state_width": (
        lambda r: r(torch.zeros(5, 2, 3), (torch.zeros(2, 2, 4), torch.zeros(2, 2, 5))),
        r"state.c is \[2, 2, 5\]; it must be \[layers \* directions, B, width\] = \[2, 2, 4\]",
    ),
    "no_steps": (lambda r: r(torch.zeros(0, 2, 3)), r"x has no steps \(T = 0\); give at least one"),
    "lengths": (lambda r: r(torch.zeros(5, 2, 3), lengths=[5, 6]), "lengths run from 5 to 6, but x has 5 steps"),
    "count": (lambda r: r(torch.zeros(5, 2, 3), lengths=torch.tensor([5])), r"lengths is \[1\].*\[B\] = \[2\]"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_shapes_are_named_with_what_was_needed(case):
    call, words = WRONG[case]
    with pytest.raises(ValueError, match=words):
        call(nn.Recurrent(cells.LSTM, 3, 4, 2))
