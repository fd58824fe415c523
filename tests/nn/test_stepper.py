"""One step at a time equals the whole sequence."""

import pytest
import torch

from karussell import cells, nn, ops
from karussell.ops.recurrence.stepper import Stepper


@pytest.mark.parametrize("layer", [nn.LSTM(5, 20, 2), nn.GRU(5, 16), nn.RNN(5, 7)], ids=["lstm", "gru", "rnn"])
@pytest.mark.parametrize("batch", [1, 3])
def test_steps_equal_the_whole(layer, batch):
    x = torch.randn(9, batch, 5)
    with torch.no_grad():
        whole, _ = layer(x)
    step = layer.stepper(batch)
    for _ in range(2):
        parts = torch.stack([step(x[t]).clone() for t in range(9)])
        torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
        step.reset()


@pytest.mark.parametrize("cell", cells.CELLS, ids=lambda c: c.name)
def test_every_cell_steps(cell):
    hidden, inputs, batch = 8, 3, 2
    shapes = ops.shapes(cell, inputs, hidden)
    weights = ops.Weights(
        torch.randn(shapes.w) * 0.3,
        tuple(torch.randn(r) * 0.3 for r in shapes.r),
        torch.randn(shapes.b),
        torch.randn(shapes.b_r) if shapes.b_r else None,
        {n: torch.rand(hidden) for n in cell.units} | {n: f(hidden) for n, f in cell.constants.items()},
    )
    x = torch.randn(6, batch, inputs)
    whole = ops.recurrence(cell, x, weights, engine="reference")
    step = Stepper(cell, weights, batch)
    parts = torch.stack([step(x[t]).clone() for t in range(6)])
    torch.testing.assert_close(parts, whole.y, rtol=1e-4, atol=1e-5)
    for got, want in zip(step.state, whole.state, strict=True):
        torch.testing.assert_close(got[..., :: cell.block], want, rtol=1e-4, atol=1e-5)


def test_refusals():
    with pytest.raises(ValueError, match="both directions"):
        nn.LSTM(3, 4, bidirectional=True).stepper()
    step = nn.LSTM(3, 4).stepper()
    with pytest.raises(ValueError, match=r"\[B, I\] = \[1, 3\]"):
        step(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="contiguous"):
        nn.LSTM(3, 4).stepper(2)(torch.zeros(3, 2).T)


def test_layers_of_any_cell_step_from_their_learned_state():
    torch.manual_seed(0)
    layer = nn.Recurrent(cells.PeepholeLSTM, 3, 6, 2, learned_state=True)
    with torch.no_grad():
        for part in layer.layers:
            for value in part.start.values():
                value.normal_()
    x = torch.randn(5, 2, 3)
    with torch.no_grad():
        whole, _ = layer(x)
    step = layer.stepper(2)
    for _ in range(2):
        parts = torch.stack([step(x[t]).clone() for t in range(5)])
        torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
        step.reset()
    with pytest.raises(ValueError, match="this one has layer norm"):
        nn.Recurrent(cells.LSTM, 3, 4, layer_norm=True).stepper()
