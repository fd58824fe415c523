"""A program is a value: equal arithmetic has one digest, JSON has all of it, names are no part of it."""

import json
import subprocess
import sys

import pytest
import torch

from karussell import cells
from karussell.cells import Cell
from karussell.program import program
from karussell.program.graph import Graph
from karussell.program.program import Program
from user_cells import EVERY, named


def one(step, **fields):
    return program(Cell("mine", ("h",), ("a",), step, **fields))


SPELLINGS = {
    "function_and_method": (lambda a, h: torch.tanh(a) * h, lambda a, h: a.tanh() * h),
    "order_of_a_product": (lambda a, h: a * h + 1, lambda a, h: 1 + h * a),
    "neutral_numbers": (lambda a, h: a * h, lambda a, h: (a * 1 + 0) * h / 1 - 0),
    "a_difference_of_a_number": (lambda a, h: 1 - a * h, lambda a, h: torch.rsub(h * a, 1)),
    "order_of_a_sum": (lambda a, h: torch.tanh(a) * 0.5 + h * 0.25, lambda a, h: 0.25 * h + 0.5 * torch.tanh(a)),
    "numbers_folded": (lambda a, h: a * 6.0 + h, lambda a, h: a * (torch.tensor(2.0, dtype=a.dtype) * 3) + h),
    "minus_one": (lambda a, h: -a * h, lambda a, h: (a * -1) * h),
    "names": (lambda a, h: torch.tanh(a) + h, lambda a, h: h + (lambda q: torch.tanh(q))(a)),
    "relu": (lambda a, h: torch.relu(a) + h, lambda a, h: torch.nn.functional.relu(a) + h),
}


@pytest.mark.parametrize(("first", "second"), SPELLINGS.values(), ids=SPELLINGS)
def test_two_spellings_are_one_program(first, second):
    assert one(first).digest == one(second).digest


def test_what_is_computed_twice_is_computed_once():
    twice = one(lambda a, h: torch.sigmoid(a) * h + torch.sigmoid(a)).stages[0].forward
    assert twice == one(lambda a, h: (lambda s: s * h + s)(torch.sigmoid(a))).stages[0].forward
    assert [n.op for n in twice.nodes].count("sigmoid") == 1


DIFFERENT = {
    "operator": (lambda a, h: a + h, lambda a, h: a - h),
    "number": (lambda a, h: a * 0.5 + h, lambda a, h: a * 0.25 + h),
    "sides": (lambda a, h: a - h, lambda a, h: h - a),
    "minus_zero": (lambda a, h: torch.where(a > 0, h, 0.0 * h), lambda a, h: torch.where(a > 0, h, -0.0 * h)),
    "derivative_alone": (lambda a, h: torch.tanh(a) + h, lambda a, h: torch.tanh(a).detach() + h),
}


@pytest.mark.parametrize(("first", "second"), DIFFERENT.values(), ids=DIFFERENT)
def test_other_arithmetic_is_another_program(first, second):
    assert one(first).digest != one(second).digest


def test_an_lstm_written_by_someone_else_is_the_lstm():
    def step(i, f, g, o, h, c):
        candidate = torch.tanh(g)
        new = torch.sigmoid(i).mul(candidate).add(c * f.sigmoid())
        return new.tanh() * torch.sigmoid(o), new

    assert program(Cell("theirs", ("h", "c"), ("i", "f", "g", "o"), step)).stages[0].forward == (
        program(cells.LSTM).stages[0].forward
    )


def test_the_name_is_no_part_of_it():
    step = cells.LSTM.stages[0].step
    other = program(Cell("mine", cells.LSTM.state, cells.LSTM.gates, step))
    assert other.digest == program(cells.LSTM).digest
    assert other.json != program(cells.LSTM).json
    # gates go by name in errors and files, so a cell with other gates is another program
    renamed = Cell("mine", ("h", "c"), ("q", "f", "g", "o"), lambda q, f, g, o, c: step(q, f, g, o, c))
    assert [s.forward for s in program(renamed).stages] == [s.forward for s in program(cells.LSTM).stages]


def test_structure_is_no_part_of_it():
    """Heads and blocks become dense weights outside the engine: one compiled loop serves them all."""
    assert program(cells.LSTM.with_heads(4)).digest == program(cells.LSTM).digest
    assert program(cells.LSTM.with_blocks(2)).digest == program(cells.LSTM).digest
    assert program(cells.NIG).digest != program(cells.NFG).digest


@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_json_has_all_of_it(cell):
    p = program(cell)
    again = Program.from_json(p.json)
    assert again == p
    assert again.digest == p.digest
    assert again.json == p.json
    assert json.loads(p.json)["name"] == cell.name


def test_numbers_survive_json():
    def step(a, h):
        return torch.where(
            a > float("inf"), a * 0.1, torch.where(a < float("-inf"), a * 1e-320, h * 1.7976931348623157e308)
        )

    p = one(step)
    again = Program.from_json(p.json)
    assert again == p
    values = {n.value for n in again.stages[0].forward.nodes if n.op == "constant"}
    assert {float("inf"), float("-inf"), 0.1, 1e-320, 1.7976931348623157e308} <= values
    # nan is unequal to itself, so compare the text
    nan = one(lambda a, h: torch.where(a > h, a, torch.full_like(a, float("nan"))))
    assert Program.from_json(nan.json).json == nan.json
    assert Program.from_json(nan.json).digest == nan.digest


def test_every_process_makes_the_same_digest():
    code = (
        "from karussell.cells import CELLS; from karussell.program import program;"
        "print(' '.join(program(c).digest for c in CELLS))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [program(c).digest for c in cells.CELLS]


def test_equal_numbers_merge_and_zeros_with_signs_do_not():
    g = Graph()
    a = g.input("a")
    assert g.constant(1.0) == g.constant(1)
    assert g.constant(0.0) != g.constant(-0.0)
    assert g.constant(float("nan")) == g.constant(float("nan"))
    assert g.add("add", a, g.constant(0.0)) == a
    assert g.add("mul", g.constant(2.0), g.constant(3.0)) == g.constant(6.0)
    assert g.add("div", g.constant(1.0), g.constant(0.0)) == g.constant(float("inf"))
    assert g.add("sub", a, g.constant(0.0)) == a
    assert g.add("sub", g.constant(0.0), a) != a
    assert g.add("mul", a, g.constant(-1.0)) == g.add("neg", a)
    # 0 * a is no zero: a may be infinite
    assert g.nodes[g.add("mul", a, g.constant(0.0))].op == "mul"
