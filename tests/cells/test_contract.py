"""The contract of a cell: what a user writes, what is refused, and that a cell is a value."""

import copy
from functools import partial

import pytest
import torch
from torch import Tensor

from karussell import cells, nn, ops
from karussell.cells import Cell, Stage

recurrence = partial(ops.recurrence, engine="reference")


def test_a_cell_of_ones_own_in_ten_lines(problem):
    def step(a: Tensor, z: Tensor, h: Tensor, rate: Tensor, gap: Tensor) -> Tensor:
        z = torch.sigmoid(z) * torch.exp(-rate * gap)
        return z * h + (1 - z) * torch.tanh(a)

    leaky = Cell("leaky", state=("h",), gates=("a", "z"), step=step, units={"rate": 0.5}, inputs=("gap",))
    p = problem(leaky)
    y = recurrence(leaky, p.x, p.weights, p.state, inputs=p.inputs).y
    h = p.state.h
    for t in range(len(p.x)):
        a, z = (p.x[t] @ p.weights.w.T + h @ p.weights.r[0].T + p.weights.b).chunk(2, -1)
        z = torch.sigmoid(z) * torch.exp(-p.weights.units["rate"] * p.inputs["gap"][t][:, None])
        h = z * h + (1 - z) * torch.tanh(a)
        torch.testing.assert_close(y[t], h)
    layer = nn.Recurrent(leaky, 3, 5, bidirectional=True, engine="reference")
    out, state = layer(torch.randn(4, 2, 3), inputs={"gap": torch.rand(4, 2)})
    assert out.shape == (4, 2, 10)
    assert state.h.shape == (2, 2, 5)


def test_a_step_may_mix_units_on_the_reference_engine(problem):
    competing = Cell("competing", state=("h",), gates=("a",), step=lambda a: torch.softmax(a, -1))
    p = problem(competing)
    y = recurrence(competing, p.x, p.weights, p.state).y
    torch.testing.assert_close(y.sum(-1), torch.ones(5, 3, dtype=torch.float64))


def one(a: Tensor) -> Tensor:
    return torch.tanh(a)


def two(a: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    return torch.tanh(a), h


PLAIN = {"state": ("h",), "gates": ("a",), "step": one}
NONSENSE = {
    "empty_state": (PLAIN | {"state": ()}, "`state` is empty"),
    "state_twice": (PLAIN | {"state": ("h", "h")}, r"\['h'\] are named twice"),
    "state_no_tuple": (PLAIN | {"state": "h"}, r"must be a tuple of names, such as \('h',\)"),
    "gates_no_tuple": (PLAIN | {"gates": "a"}, "must be a tuple of names"),
    "no_identifier": (PLAIN | {"state": ("h 1",)}, "no name that a step can take"),
    "gate_twice": (PLAIN | {"gates": ("a", "a")}, "named twice"),
    "gate_idle": (PLAIN | {"gates": ("a", "b")}, r"\['b'\] are computed, but the step takes only \['a'\]"),
    "gate_is_state": (PLAIN | {"state": ("a",)}, "name both a gate and"),
    "no_gates": ({"state": ("h",), "gates": (), "step": lambda h: h}, "see neither the input nor a state|no gate sees"),
    "unknown_argument": (PLAIN | {"gates": ("b",)}, "takes 'a', which is no gate"),
    "sees_unknown": (PLAIN | {"sees": ("q",)}, "sees names 'q'"),
    "unit_is_state": (PLAIN | {"step": two, "units": {"h": 0.0}}, r"\['h'\] are named twice"),
    "shared_unknown": (PLAIN | {"shared": ("q",)}, r"shared names \['q'\]"),
    "neither": ({"state": ("h",)}, "either `gates` and `step`, or `stages`"),
    "both": (PLAIN | {"stages": (Stage(("a",), one),)}, "not both"),
    "split_alone": (PLAIN | {"split": ("a",), "sees": ()}, "needs both an input and"),
    "never_fed": ({"state": ("h",), "stages": (Stage(("a",), one, input=False),)}, "no gate sees the input"),
    "sees_nothing": (
        {"state": ("h",), "stages": (Stage(("a",), one, input=False, sees=()),)},
        "neither the input nor a state",
    ),
    "state_never_written": (
        {"state": ("h", "c"), "stages": (Stage(("a",), one, writes=("h",)),)},
        r"no stage writes the states \['c'\]",
    ),
    "writes_a_unit": (
        {"state": ("h",), "stages": (Stage(("a",), two, writes=("h", "u")),), "units": {"u": 1.0}},
        r"writes \['u'\]",
    ),
    "no_heads": (PLAIN | {"heads": 0}, "both count from 1"),
    "blocks_and_heads": (PLAIN | {"shared": ("a",), "block": 2, "heads": 2}, "cannot be combined"),
}


@pytest.mark.parametrize(("fields", "words"), NONSENSE.values(), ids=NONSENSE)
def test_a_cell_that_declares_nonsense_is_refused(fields, words):
    with pytest.raises(ValueError, match=words) as error:
        Cell("mine", **fields)
    assert str(error.value).startswith("cell mine:")


def test_a_step_that_gives_too_much_is_refused(problem):
    cell = Cell("mine", state=("h",), gates=("a",), step=two)
    p = problem(cell)
    with pytest.raises(ValueError, match="a step gave 2 values, but its stage writes h"):
        recurrence(cell, p.x, p.weights, p.state)


def test_blocks_need_shared_gates():
    with pytest.raises(ValueError, match="no blocks of 2"):
        cells.GRU.with_blocks(2)
    with pytest.raises(ValueError, match="do not divide"):
        nn.Recurrent(cells.LSTM1997.with_blocks(2), 3, 5)
    with pytest.raises(ValueError, match="do not divide"):
        nn.Recurrent(cells.LSTM.with_heads(3), 3, 4)
    with pytest.raises(ValueError, match="equal modules"):
        nn.Recurrent(cells.ClockworkRNN, 3, 6)


@pytest.mark.parametrize("periods", [(), (2, 1), (1, 1), (0, 1)])
def test_clockwork_periods_increase(periods):
    with pytest.raises(ValueError, match="periods must be positive and increasing"):
        cells.clockwork(periods)


def test_highway_has_a_depth():
    with pytest.raises(ValueError, match="at least 1"):
        cells.highway(0)


@pytest.mark.parametrize("cell", cells.CELLS, ids=lambda c: c.name)
def test_a_cell_is_a_value(cell):
    assert copy.deepcopy(cell) is cell
    assert cell == cell.with_heads(1)
    assert hash(cell) == hash(cell.with_heads(1))
    assert cell != cell.with_heads(2)
    assert len({cell, cell.with_heads(1), cell.with_heads(2)}) == 2
    assert cell.State._fields == cell.state
    assert all(isinstance(stage.sees, tuple) for stage in cell.stages)


def test_cells_are_told_apart():
    assert len(set(cells.CELLS)) == len(cells.CELLS)
    assert cells.highway(2) == cells.RecurrentHighway
    assert cells.LSTM.with_blocks(1) == cells.LSTM
    assert cells.LSTM1997.with_blocks(2) != cells.LSTM1997
    assert Cell("rnn", ("h",), ("a",), cells.RNN.stages[0].step) == cells.RNN
    assert Cell("other", ("h",), ("a",), cells.RNN.stages[0].step) != cells.RNN
