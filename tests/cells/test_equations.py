"""Every cell against its published equation, written out in NumPy."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from equations import EQUATIONS, clockwork, highway, lstm, lstm_1997

from karussell import cells, ops

recurrence = partial(ops.recurrence, engine="reference")

MORE = {
    cells.LSTM1997.with_blocks(2): lstm_1997,
    cells.clockwork((1, 3)): clockwork(1, 3),
    cells.highway(1): highway(1),
    cells.highway(3): highway(3),
}


def by_gate(p):
    """The weights as the papers have them, one matrix and one bias a gate; rows stand gate after gate."""
    cell, w = p.cell, p.weights
    hidden = w.units[next(iter(w.units))].shape[0] if w.units else p.state[0].shape[-1]

    def rows(matrix, gates):
        widths = [cell.width(q, hidden) for q in gates]
        return {q: part.detach().numpy() for q, part in zip(gates, matrix.split(widths), strict=True)}

    seeing = [s for s in cell.stages if s.sees]
    r = {}
    for stage, matrix in zip(seeing, w.r, strict=True):
        r |= rows(matrix, stage.gates)
    units = {n: v.detach().numpy() for n, v in w.units.items()}
    b_r = rows(w.b_r, cell.split_gates) if w.b_r is not None else {}
    return SimpleNamespace(W=rows(w.w, cell.fed), R=r, b=rows(w.b, cell.gates), b_r=b_r, u=units)


def evaluate(equation, p):
    """Row after row, step after step."""
    m, x = by_gate(p), p.x.detach().numpy()
    states = {n: np.zeros((x.shape[0], *v.shape)) for n, v in p.state._asdict().items()}
    for row in range(x.shape[1]):
        s = {n: v[row].detach().numpy().copy() for n, v in p.state._asdict().items()}
        for t in range(x.shape[0]):
            s = equation(m, x[t, row], s)
            for n, v in s.items():
                states[n][t, row] = v
    return states


def named(value):
    return value.name + (f"_blocks_{value.block}" if value.block > 1 else "") if isinstance(value, cells.Cell) else ""


@pytest.mark.parametrize(("cell", "equation"), [*EQUATIONS.items(), *MORE.items()], ids=named)
def test_cell_computes_its_equation(problem, cell, equation):
    p = problem(cell, steps=9, batch=3, inputs=3, hidden=4)
    result = recurrence(cell, p.x, p.weights, p.state, every_state=True)
    expected = evaluate(equation, p)
    for name, value in result.states._asdict().items():
        np.testing.assert_allclose(value.detach().numpy(), expected[name], rtol=1e-11, atol=1e-12, err_msg=name)
    for name, value in result.state._asdict().items():
        np.testing.assert_array_equal(value.detach(), result.states._asdict()[name][-1].detach())
    torch.testing.assert_close(result.y, result.states[0], rtol=0, atol=0)


def test_every_cell_has_an_equation():
    assert set(EQUATIONS) == set(cells.CELLS)
    assert len({cell.name for cell in cells.CELLS}) == len(cells.CELLS)


def test_the_study_has_nine_nets():
    assert set(cells.ODYSSEY) == {"V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG", "FGR"}
    assert EQUATIONS[cells.ODYSSEY["NP"]] is lstm


def test_the_clockwork_carries_its_time(problem):
    # the second half starts where the first one stopped, not at a tick of its own
    p = problem(cells.ClockworkRNN, steps=8)
    start = p.state._replace(t=torch.zeros_like(p.state.t))
    whole = recurrence(cells.ClockworkRNN, p.x, p.weights, start)
    first = recurrence(cells.ClockworkRNN, p.x[:3], p.weights, start)
    assert (first.state.t == 3).all()
    second = recurrence(cells.ClockworkRNN, p.x[3:], p.weights, first.state)
    torch.testing.assert_close(second.y, whole.y[3:], rtol=0, atol=1e-14)
    assert (whole.state.t == 0).all(), "the time wraps at the least common multiple of the periods"


def test_gates_at_every_step_are_pre_activations(problem):
    p = problem(cells.LSTM, steps=4)
    result = recurrence(cells.LSTM, p.x, p.weights, p.state, every_state=True, every_gate=True)
    before = torch.cat([p.state.h[None], result.states.h[:-1]])
    z = p.x @ p.weights.w.T + before @ p.weights.r[0].T + p.weights.b
    for name, part in zip("ifgo", z.split(4, -1), strict=True):
        torch.testing.assert_close(result.gates[name], part)


def test_one_gate_drives_a_block_of_cells(problem):
    # an LSTM in blocks of two equals the plain LSTM whose cells have equal gates in pairs
    cell = cells.LSTM.with_blocks(2)
    p = problem(cell, hidden=4)
    result = recurrence(cell, p.x, p.weights, p.state, every_gate=True)
    assert result.gates["i"].shape[-1] == 2
    assert result.gates["g"].shape[-1] == 4

    def repeat(weight):
        i, f, g, o = weight.split([2, 2, 4, 2])
        return torch.cat([v if v is g else v.repeat_interleave(2, 0) for v in (i, f, g, o)])

    w = p.weights
    plain = w._replace(w=repeat(w.w), r=(repeat(w.r[0]),), b=repeat(w.b))
    torch.testing.assert_close(result.y, recurrence(cells.LSTM, p.x, plain, p.state).y)


def test_heads_do_not_hear_each_other(problem):
    cell = cells.LSTM.with_heads(2)
    p = problem(cell, hidden=4, grad=False)
    other = p.state._replace(h=p.state.h + torch.tensor([0.0, 0, 1, 1], dtype=torch.float64))
    one, two = (recurrence(cell, p.x, p.weights, s).y for s in (p.state, other))
    torch.testing.assert_close(one[..., :2], two[..., :2], rtol=0, atol=0)
    assert (one[..., 2:] != two[..., 2:]).all()
