"""Zoneout, recurrent dropout and layer norm, each against what its paper says."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from karussell import cells, ops
from karussell.cells import Cell
from karussell.ops import Noise, Options, Weights

recurrence = partial(ops.recurrence, engine="reference")

F64 = torch.float64


def train(**fields):
    return Options(training=True, **fields)


def test_zoneout_keeps_old_values_where_it_strikes(problem):
    rates = {"h": 0.25, "c": 0.5}
    p = problem(cells.LSTM, steps=60, batch=8, hidden=16, grad=False)
    run = recurrence(
        cells.LSTM, p.x, p.weights, p.state, options=train(zoneout=rates), noise=Noise(0, 0), every_state=True
    )
    before = [torch.cat([s[None], v[:-1]]) for s, v in zip(p.state, run.states, strict=True)]
    # one plain step from the states that the zoned-out run went through
    plain = [recurrence(cells.LSTM, p.x[t : t + 1], p.weights, [b[t] for b in before]).state for t in range(len(p.x))]
    for k, name in enumerate("hc"):
        new = torch.stack([s[k] for s in plain])
        kept = run.states[k] == before[k]
        close = torch.isclose(run.states[k], new, rtol=1e-12, atol=1e-14)
        assert (kept | close).all()
        assert abs(kept.double().mean().item() - rates[name]) < 0.02
        assert abs(kept.double().mean((0, 1)) - rates[name]).max() < 0.1, "every unit is struck alike"


def test_zoneout_in_evaluation_is_the_expectation(problem):
    p = problem(cells.GRU, steps=4, grad=False)
    run = recurrence(cells.GRU, p.x, p.weights, p.state, options=Options(zoneout={"h": 0.3}))
    h = p.state.h
    for t in range(4):
        new = recurrence(cells.GRU, p.x[t : t + 1], p.weights, (h,)).y[0]
        h = 0.3 * h + 0.7 * new
        torch.testing.assert_close(run.y[t], h)


def test_zoneout_of_one_keeps_everything(problem):
    p = problem(cells.LSTM, grad=False)
    run = recurrence(cells.LSTM, p.x, p.weights, p.state, options=train(zoneout={"h": 1, "c": 1}), noise=Noise(0, 0))
    torch.testing.assert_close(run.y, p.state.h.expand_as(run.y))


def linear(a: Tensor, h: Tensor, drop: float = 1.0) -> Tensor:
    return h + a * drop


COUNTER = Cell("counter", state=("h",), gates=("a",), step=linear, sees=())
POWER = Cell("power", state=("h",), gates=("a",), step=lambda a: a)


def test_gal_drops_the_same_units_at_every_step():
    # h = R h with R = 1: what the mask drops is 0 from the first step on, all else grows by 1 / (1 - p)
    hidden, p = 64, 0.25
    weights = Weights(torch.zeros(hidden, 1, dtype=F64), (torch.eye(hidden, dtype=F64),))
    x, h = torch.zeros(5, 3, 1, dtype=F64), torch.ones(3, hidden, dtype=F64)
    y = recurrence(POWER, x, weights, (h,), options=train(dropout=p), noise=Noise(0, 0)).y
    mask = y[0] != 0
    for t in range(5):
        torch.testing.assert_close(y[t], mask.to(F64) / (1 - p) ** (t + 1))
    assert 0.6 < mask.double().mean() < 0.9
    assert not torch.equal(mask[0], mask[1]), "every row has a mask of its own"
    torch.testing.assert_close(recurrence(POWER, x, weights, (h,), options=Options(dropout=p)).y[-1], h)


def test_semeniuta_drops_increments_and_never_the_memory():
    hidden, p = 64, 0.25
    weights = Weights(torch.ones(hidden, 1, dtype=F64))
    x = torch.ones(40, 3, 1, dtype=F64)
    y = recurrence(COUNTER, x, weights, options=train(dropout=p, dropout_on="candidate"), noise=Noise(0, 0)).y
    steps = torch.diff(y, dim=0, prepend=torch.zeros(1, 3, hidden, dtype=F64))
    kept = torch.isclose(steps, torch.tensor(1 / (1 - p), dtype=F64))
    assert (kept | (steps.abs() < 1e-12)).all()
    assert abs(kept.double().mean().item() - (1 - p)) < 0.02
    assert (kept[0] != kept[1]).any(), "every step has a mask of its own"


def test_same_noise_same_masks(problem):
    p = problem(cells.LSTM, grad=False)
    options = train(zoneout={"c": 0.3}, dropout=0.3)

    def run(noise):
        return recurrence(cells.LSTM, p.x, p.weights, p.state, options=options, noise=noise).y

    first = run(Noise(1, 7))
    torch.testing.assert_close(run(Noise(1, 7)), first, rtol=0, atol=0)
    for other in (Noise(2, 7), Noise(1, 8), Noise(1, 7, 1)):
        assert not torch.allclose(run(other), first)


def test_masks_of_a_row_do_not_depend_on_the_rows_beside_it(problem):
    p = problem(cells.LSTM, batch=5, grad=False)
    options = train(zoneout={"h": 0.2, "c": 0.3}, dropout=0.3)

    def run(rows):
        state = tuple(v[:rows] for v in p.state)
        return recurrence(cells.LSTM, p.x[:, :rows], p.weights, state, options=options, noise=Noise(1, 7)).y

    torch.testing.assert_close(run(5)[:, :2], run(2))


def normalised(z, gain):
    return gain * (z - z.mean()) / np.sqrt(z.var() + 1e-5)


def test_layer_norm_is_that_of_ba_kiros_and_hinton(problem):
    p = problem(cells.LSTM, hidden=5, norm=True, grad=False)
    w = p.weights
    names = "ifgo"
    cut = [np.split(v.numpy(), 4) for v in (w.w, w.r[0], w.b, w.norm_x, w.norm_r[0])]
    big_w, big_r, b, gain_x, gain_r = (dict(zip(names, v, strict=True)) for v in cut)
    y = recurrence(cells.LSTM, p.x, w, p.state).y.numpy()
    for row in range(3):
        h, c = (v[row].numpy() for v in p.state)
        for t in range(5):
            x = p.x[t, row].numpy()
            z = {q: normalised(big_w[q] @ x, gain_x[q]) + normalised(big_r[q] @ h, gain_r[q]) + b[q] for q in names}
            i, f, o = (1 / (1 + np.exp(-z[q])) for q in "ifo")
            c = f * c + i * np.tanh(z["g"])
            h = o * np.tanh(c)
            np.testing.assert_allclose(y[t, row], h, rtol=1e-11)


WRONG = {
    "zoneout_name": (cells.LSTM, Options(zoneout={"s": 0.1}), "zoneout names 's', but lstm has the states h, c"),
    "zoneout_rate": (cells.LSTM, Options(zoneout={"h": 1.5}), "a probability, from 0 to 1"),
    "dropout_rate": (cells.LSTM, Options(dropout=1.0), "a probability, from 0 to below 1"),
    "candidate": (cells.LSTM1997, Options(dropout=0.1, dropout_on="candidate"), "its step takes no `drop`"),
    "seen": (cells.MinGRU, Options(dropout=0.1), "has no recurrent matrix"),
    "no_noise": (cells.LSTM, Options(training=True, dropout=0.1), "give noise="),
}


@pytest.mark.parametrize(("cell", "options", "words"), WRONG.values(), ids=WRONG)
def test_options_that_do_not_fit_are_refused(problem, cell, options, words):
    p = problem(cell)
    with pytest.raises(ValueError, match=words):
        recurrence(cell, p.x, p.weights, p.state, options=options)
