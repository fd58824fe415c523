"""nn.LSTMCell, nn.GRUCell and nn.RNNCell against torch's."""

import copy

import pytest
import torch

from karussell import nn

KINDS = {"LSTMCell": {}, "GRUCell": {}, "RNNCell": {}, "relu": {"nonlinearity": "relu"}}
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def flat(value):
    return list(value) if isinstance(value, tuple) else [value]


@pytest.mark.parametrize("engine", ["vendor", "reference"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_torchs(kind, bias, engine):
    name = "RNNCell" if kind == "relu" else kind
    made = []
    for library, options in ((torch.nn, {}), (nn, {"engine": engine})):
        torch.manual_seed(1)
        made.append(getattr(library, name)(3, 4, bias, **KINDS[kind], **options))
    theirs, ours = made
    assert repr(theirs) == repr(ours)
    for (n, a), (m, b) in zip(theirs.named_parameters(), ours.named_parameters(), strict=True):
        assert n == m
        assert torch.equal(a, b)
    assert list(theirs.state_dict()) == list(ours.state_dict())
    for shape in ((5,), ()):
        x = torch.randn(*shape, 3, requires_grad=True)
        h, c = (torch.randn(*shape, 4, requires_grad=True) for _ in range(2))
        state = (h, c) if name == "LSTMCell" else h
        for given in (None, state):
            found = []
            for module in (theirs, ours):
                values = flat(module(x, given))
                grads = torch.autograd.grad(
                    sum((v * v.detach()).sum() for v in values),
                    [x, *module.parameters(), *([] if given is None else flat(state))],
                )
                found.append([*values, *grads])
            for a, b in zip(*found, strict=True):
                torch.testing.assert_close(b, a, **CLOSE)


def test_steps_one_by_one_are_the_layer():
    layer, cell = nn.LSTM(3, 4), nn.LSTMCell(3, 4)
    cell.load_state_dict({n.removesuffix("_l0"): v for n, v in layer.state_dict().items()})
    x = torch.randn(6, 2, 3)
    y, _ = layer(x)
    state = None
    for t in range(6):
        state = cell(x[t], state)
        torch.testing.assert_close(state[0], y[t], **CLOSE)
    copied = copy.deepcopy(cell)
    torch.testing.assert_close(copied(x[0])[0], cell(x[0])[0])


@pytest.mark.parametrize("kind", ["LSTMCell", "GRUCell", "RNNCell"])
def test_what_torchs_cells_refuse(kind):
    def pair(h):
        return (h, h) if kind == "LSTMCell" else h

    for library in (torch.nn, nn):
        cell = getattr(library, kind)(3, 4)
        with pytest.raises(RuntimeError, match=r"inconsistent|cannot be multiplied"):
            cell(torch.zeros(2, 5))
        with pytest.raises(RuntimeError, match=r"inconsistent|hidden0|Expected|mat"):
            cell(torch.zeros(2, 3), pair(torch.zeros(3, 4)))
        with pytest.raises(RuntimeError):
            cell(torch.zeros(2, 3), pair(torch.zeros(2, 5)))
        with pytest.raises(ValueError, match="Expected input to be 1D or 2D, got 3D"):
            cell(torch.zeros(1, 2, 3))
        with pytest.raises(ValueError, match="to be 1D or 2D, got 3D"):
            cell(torch.zeros(2, 3), pair(torch.zeros(1, 2, 4)))
    with pytest.raises(ValueError, match="Unknown nonlinearity"):
        nn.RNNCell(3, 4, nonlinearity="cube")
    with pytest.raises(TypeError, match="must be the tuple"):
        nn.LSTMCell(3, 4)(torch.zeros(2, 3), torch.zeros(2, 4))
