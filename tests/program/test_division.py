"""What the backward pass stores and what it computes again."""

import pytest
import torch

from karussell import cells
from karussell.cells import Cell
from karussell.program import program
from karussell.program.graph import COSTLY
from user_cells import EVERY, named

SAVED = {
    cells.RNN: 0,
    cells.ReLURNN: 0,
    cells.LSTM: 4,
    cells.GRU: 4,
    cells.PeepholeLSTM: 4,
    cells.CIFG: 3,
    cells.LSTM1997: 1,
    cells.IndRNN: 0,
    cells.MinGRU: 2,
    cells.MinLSTM: 3,
}


@pytest.mark.parametrize(("cell", "count"), SAVED.items(), ids=lambda v: v.name if isinstance(v, Cell) else str(v))
def test_values_stored_for_a_unit_and_step(cell, count):
    assert program(cell).saved == count


def test_what_is_stored_besides_states():
    """tanh(c) of an LSTM follows from the state c; tanh of Elman's net is the state."""
    lstm = program(cells.LSTM).stages[0]
    kinds = [lstm.forward.nodes[o].op for o in lstm.forward.outputs[len(lstm.writes) :]]
    assert sorted(kinds) == ["sigmoid", "sigmoid", "sigmoid", "tanh"]
    assert [n.op for n in lstm.backward.nodes].count("tanh") == 1
    assert "tanh" not in [n.op for n in program(cells.RNN).stages[0].backward.nodes]
    # 1997: the gates are states, and the squashed cell follows from one
    assert program(cells.LSTM1997).stages[0].needs


@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_the_backward_pass_computes_nothing_dear_but_what_follows_from_what_is_at_hand(cell):
    for s in program(cell).stages:
        known = set()
        for k, node in enumerate(s.backward.nodes):
            given = node.op == "constant" or (node.op == "input" and node.name[0] == "v")
            if given or (node.args and all(a in known for a in node.args)):
                known.add(k)
            elif node.op in COSTLY:
                # of gradients there is none either: they are sums of products
                raise AssertionError(f"{cell.name} computes {node.op} again")


@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_everything_stored_is_read(cell):
    for s in program(cell).stages:
        read = {n.name for n in s.backward.nodes if n.op == "input"}
        assert {f"s{k}" for k in range(s.saved)} == {n for n in read if n[0] == "s"}
        assert {f"v{n}" for n in s.needs} == {n for n in read if n[0] == "v"}
        # a gate as it arrived is gone by then: what is needed of it is among the stored values
        assert not any(n[0] == "z" for n in read)


def test_a_gate_itself_is_stored_where_it_must_be():
    cell = Cell("mine", ("h",), ("a", "b"), lambda a, b, h: a * b + h)
    s = program(cell).stages[0]
    assert {s.forward.nodes[o].name for o in s.forward.outputs[1:]} == {"z0", "z1"}
    assert s.saved == 2


def test_nothing_is_stored_where_nothing_is_learned():
    cell = Cell("mine", ("h",), ("a",), lambda a, h: 0.5 * a + 0.5 * h)
    assert program(cell).saved == 0
    assert program(cell).history == (1,)


def test_a_mask_is_made_again_from_numbers():
    cell = Cell("mine", ("h",), ("a",), lambda a, h: torch.where(a > h, torch.tanh(a), h))
    s = program(cell).stages[0]
    kinds = [s.forward.nodes[o] for o in s.forward.outputs[1:]]
    assert {n.op for n in kinds} <= {"tanh", "input"}
