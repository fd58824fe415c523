"""What the door of the recurrence refuses: each sentence names what came and what was needed."""

from functools import partial

import pytest
import torch

from karussell import cells, ops
from karussell.cells import Cell
from karussell.ops import shapes

recurrence = partial(ops.recurrence, engine="reference")

GAP = Cell("gap", ("h",), ("a",), lambda a, gap: a * gap, inputs=("gap",))


def x_of(*shape, dtype=torch.float64):
    return torch.zeros(shape, dtype=dtype)


WRONG = {
    "x_two_dimensional": ({"x": x_of(5, 2)}, r"x is \[5, 2\]; it must be \[T, B, I\]"),
    "x_integers": ({"x": torch.zeros(5, 3, 2, dtype=torch.int64)}, "must be floating point"),
    "x_without_steps": ({"x": x_of(0, 3, 2)}, "no steps"),
    "x_other_width": ({"x": x_of(5, 3, 7)}, r"w is \[16, 2\].*lstm has 4 gates \(i, f, g, o\).*\[16, 7\]"),
    "x_other_dtype": ({"x": x_of(5, 3, 2, dtype=torch.float32)}, "w is torch.float64 and x is torch.float32"),
    "state_one_tensor_short": ({"state": (x_of(3, 4),)}, "has 1 tensors, but lstm has the states h, c"),
    "state_shape": ({"state": (x_of(3, 4), x_of(3, 5))}, r"state.c is \[3, 5\].*\[3, 4\]"),
    "state_dtype": ({"state": (x_of(3, 4), x_of(3, 4, dtype=torch.float32))}, "state.c is torch.float32"),
    "lengths_shape": ({"lengths": torch.tensor([1, 2])}, r"lengths is \[2\].*\[B\] = \[3\] integers"),
    "lengths_floats": ({"lengths": torch.tensor([1.0, 2.0, 3.0])}, "integers"),
    "lengths_too_long": ({"lengths": torch.tensor([1, 2, 6])}, "from 1 to 6, but x has 5 steps"),
    "lengths_negative": ({"lengths": torch.tensor([1, -1, 5])}, "from -1 to 5"),
    "resets_shape": ({"resets": torch.zeros(3, 5, dtype=torch.bool)}, r"\[T, B\] = \[5, 3\] booleans"),
    "resets_numbers": ({"resets": torch.zeros(5, 3)}, "booleans"),
    "inputs_unknown": ({"inputs": {"gap": x_of(5, 3)}}, r"inputs are \['gap'\], but lstm takes \[\]"),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_refused(problem, arguments, words):
    p = problem(cells.LSTM)
    given = {"x": p.x, "state": p.state} | arguments
    with pytest.raises(ValueError, match=words) as error:
        recurrence(cells.LSTM, given.pop("x"), p.weights, given.pop("state"), **given)
    assert str(error.value).startswith("recurrence: ")


def test_weights_of_another_cell_are_refused(problem):
    p, gru = problem(cells.LSTM), problem(cells.GRU)
    with pytest.raises(ValueError, match="w is"):
        recurrence(cells.LSTM, p.x, p.weights._replace(w=p.weights.w[:-1]))
    with pytest.raises(ValueError, match="has 4 gates"):
        recurrence(cells.LSTM, p.x, gru.weights)
    with pytest.raises(ValueError, match="r has 1 matrices, but fgr multiplies 2"):
        recurrence(cells.FGR, p.x, problem(cells.FGR).weights._replace(r=p.weights.r))
    with pytest.raises(ValueError, match=r"units are \[\], but peephole_lstm needs"):
        recurrence(cells.PeepholeLSTM, p.x, p.weights)
    with pytest.raises(ValueError, match="needs both gains"):
        recurrence(cells.LSTM, p.x, p.weights._replace(norm_x=x_of(16)))


def test_per_step_inputs(problem):
    p = problem(GAP)
    with pytest.raises(ValueError, match="inputs are"):
        recurrence(GAP, p.x, p.weights)
    with pytest.raises(ValueError, match=r"inputs\['gap'\] is \[3, 5\]"):
        recurrence(GAP, p.x, p.weights, inputs={"gap": x_of(3, 5)})
    narrow = recurrence(GAP, p.x, p.weights, inputs=p.inputs).y
    wide = recurrence(GAP, p.x, p.weights, inputs={"gap": p.inputs["gap"][..., None].expand(5, 3, 4)}).y
    torch.testing.assert_close(narrow, wide)


def test_a_projection_needs_a_dense_matrix():
    for cell in (cells.LSTM.with_heads(2), cells.LSTM.with_blocks(2), cells.ClockworkRNN):
        with pytest.raises(ValueError, match="needs a dense recurrent matrix"):
            shapes(cell, 2, 4, 2)


@pytest.mark.parametrize("cell", [cells.GRU, cells.RecurrentHighway, cells.IndRNN], ids=lambda c: c.name)
def test_a_projected_output_cannot_be_read_unit_by_unit(cell):
    with pytest.raises(ValueError, match=f"{cell.name}: its step computes with the output 'h' unit by unit"):
        shapes(cell, 2, 4, 2)
