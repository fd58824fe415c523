"""Derivatives of every cell by finite differences: first and second order, ragged rows, into the final state too."""

from functools import partial

import pytest
import torch

from karussell import cells, ops
from karussell.ops import Noise, Options

recurrence = partial(ops.recurrence, engine="reference")

ALL = [*cells.CELLS, cells.LSTM1997.with_blocks(2), cells.LSTM.with_blocks(2), cells.GRU.with_heads(2)]
F64 = torch.float64


def named(value):
    marks = {"_blocks": value.block, "_heads": value.heads}
    return value.name + "".join(f"{m}_{n}" for m, n in marks.items() if n > 1)


def check(p, second=False, **arguments):
    """gradcheck over everything that has a gradient, through the output and every state that has one."""

    def function(*leaves):
        q = p.replaced(list(leaves))
        result = recurrence(q.cell, q.x, q.weights, q.state, inputs=q.inputs, **arguments)
        return (result.y, *(v for n, v in result.state._asdict().items() if n != "t"))

    leaves = p.leaves()
    assert torch.autograd.gradcheck(function, leaves, fast_mode=False, atol=1e-7)
    if second:
        assert torch.autograd.gradgradcheck(function, leaves, fast_mode=True, atol=1e-6)


@pytest.mark.parametrize("cell", ALL, ids=named)
def test_first_and_second_derivative(problem, cell):
    hidden = 4 if cell is cells.ClockworkRNN else 2
    p = problem(cell, steps=3, batch=2, inputs=2, hidden=hidden)
    check(p, second=True, lengths=torch.tensor([3, 2]))


@pytest.mark.parametrize("cell", [cells.LSTM, cells.GRUResetBefore, cells.FGR, cells.ClockworkRNN], ids=named)
def test_derivative_backwards_with_resets(problem, cell):
    p = problem(cell, steps=4, batch=2, hidden=4)
    resets = torch.tensor([[0, 0], [0, 1], [1, 0], [0, 1]], dtype=torch.bool)
    check(p, lengths=torch.tensor([4, 3]), reverse=True, resets=resets)


@pytest.mark.parametrize("cell", [cells.LSTM, cells.GRU, cells.FGR, cells.MinGRU, cells.LSTM1997], ids=named)
def test_derivative_with_layer_norm(problem, cell):
    check(problem(cell, steps=3, batch=2, hidden=3, norm=True), lengths=torch.tensor([1, 3]))


def test_derivative_with_projection(problem):
    p = problem(cells.LSTM, steps=3, batch=2, hidden=3, projection=2)
    check(p, lengths=torch.tensor([3, 2]), reverse=True)


@pytest.mark.parametrize("on", ["seen", "candidate"])
def test_derivative_with_masks(problem, on):
    options = Options(training=True, zoneout={"h": 0.3, "c": 0.4}, dropout=0.4, dropout_on=on)
    check(problem(cells.LSTM, steps=4, batch=2, hidden=3), options=options, noise=Noise(3, 1))


def test_initial_state_of_resets_has_a_gradient(problem):
    p = problem(cells.LSTM, steps=4, batch=2, hidden=2)
    start = tuple(torch.randn(2, 2, dtype=F64, requires_grad=True) for _ in range(2))
    resets = torch.tensor([[1, 0], [0, 1], [0, 0], [1, 0]], dtype=torch.bool)

    def function(h, c):
        return recurrence(cells.LSTM, p.x, p.weights, p.state, start=(h, c), resets=resets).y

    assert torch.autograd.gradcheck(function, start)


def test_no_gradient_leaks_into_rows_that_were_reset(problem):
    p = problem(cells.LSTM, steps=3, batch=2)
    resets = torch.tensor([[1, 0], [0, 0], [0, 0]], dtype=torch.bool)
    recurrence(cells.LSTM, p.x, p.weights, p.state, resets=resets).y.sum().backward()
    assert (p.state.h.grad[0] == 0).all()
    assert (p.state.c.grad[0] == 0).all()
    assert (p.state.h.grad[1] != 0).all()


def test_forward_mode_and_vmap(problem):
    p = problem(cells.GRUResetBefore, steps=4, batch=3, grad=False)
    tangent = torch.randn_like(p.x)

    def outputs(x):
        return recurrence(p.cell, x, p.weights, p.state).y

    _, jvp = torch.func.jvp(outputs, (p.x,), (tangent,))
    step = 1e-6
    expected = (outputs(p.x + step * tangent) - outputs(p.x - step * tangent)) / (2 * step)
    torch.testing.assert_close(jvp, expected, atol=1e-8, rtol=1e-6)
    stacked = torch.stack([p.x, tangent])
    torch.testing.assert_close(torch.func.vmap(outputs)(stacked), torch.stack([outputs(p.x), outputs(tangent)]))
