"""Steps that are no elementwise program: each refusal says what it met and the way out, and `auto` still runs them."""

import pytest
import torch

from karussell.cells import Cell, Stage
from karussell.errors import EngineError
from karussell.ops import recurrence
from karussell.program import TraceError, program
from karussell.program.graph import Graph
from karussell.program.trace import trace
from user_cells import Case, tame

VECTOR = torch.linspace(0.5, 1.5, 4, dtype=torch.float64)


def branching(a, h):
    return a if a > 0 else h


def counting(a, h):
    return a.int() * 1.0 + h


WHERE = r"Use torch.where\(condition, a, b\) instead"
REFERENCE = "orce engine='reference', which runs any step"
# step, words of the refusal, whether the reference engine runs it
STEPS = {
    "if": (branching, WHERE, False),
    "while": (lambda a: a / 2 if bool(a > 1) else a, WHERE, False),
    "float": (lambda a: a * float(a), WHERE, False),
    "item": (lambda a: a * a.item(), WHERE, False),
    "softmax": (lambda a: torch.softmax(a, -1), "aten._softmax.*" + REFERENCE, True),
    "sum": (lambda a: a - a.sum(-1, keepdim=True), REFERENCE, True),
    "mean": (lambda a, h: a - h.mean(), REFERENCE, True),
    "norm": (lambda a: a / a.norm(dim=-1, keepdim=True), REFERENCE, True),
    "roll": (lambda a: torch.tanh(a.roll(1, -1)), "could not be traced.*" + REFERENCE, True),
    "flip": (lambda a: torch.tanh(a.flip(-1)), REFERENCE, True),
    "cumsum": (lambda a: torch.tanh(a).cumsum(-1), REFERENCE, True),
    "index": (lambda a: a[..., :1] + torch.tanh(a), REFERENCE, True),
    "concatenation": (lambda a, h: torch.cat([a, h], -1)[..., : a.shape[-1]], REFERENCE, True),
    "product_of_matrices": (lambda a: a @ torch.eye(a.shape[-1], dtype=a.dtype), REFERENCE, True),
    "no_derivative": (lambda a: torch.tanh(a) // 2, REFERENCE, False),
    "no_such_function": (lambda a: torch.special.i0(a), REFERENCE, True),
    "chance": (lambda a: a * torch.rand_like(a), "aten.rand_like", True),
    "dropout": (lambda a: torch.nn.functional.dropout(a, 0.5), "aten.bernoulli", True),
    "whole_numbers": (counting, "Use torch.trunc, which leaves the number a float", True),
    "another_dtype": (lambda a: torch.tanh(a).to(torch.bfloat16), "let it keep the dtype given", False),
    "a_vector_of_its_own": (lambda a: a * VECTOR, "Name that among the cell's `units`", True),
    "a_vector_summed": (lambda a: a * (VECTOR * a[..., None]).sum(-1), "Name that|" + REFERENCE, True),
    "numpy": (lambda a: torch.from_numpy(a.detach().numpy()) + a, REFERENCE, True),
    "its_own_mistake": (lambda a: a * (1 / 0), "division by zero", False),
}


@pytest.mark.filterwarnings("ignore:Converting a tensor")
@pytest.mark.parametrize(("step", "words", "runs"), STEPS.values(), ids=STEPS)
def test_what_cannot_be_compiled_is_refused(problem, step, words, runs):
    cell = Cell("mine", ("h",), ("a",), step)
    with pytest.raises(TraceError, match=words) as error:
        program(cell)
    assert str(error.value).startswith("cell mine: ")
    p = tame(problem, cell, Case(3, 2, 4), torch.float64)
    with pytest.raises(EngineError, match=r"'cpp' was forced, but cell mine:.*Use engine='auto' or 'reference'"):
        recurrence(cell, p.x, p.weights, p.state, engine="cpp")
    if runs:
        result = recurrence(cell, p.x, p.weights, p.state)
        assert result.engine == "reference"
        result.y.sum().backward()


def test_a_step_that_mixes_units_by_no_operation_that_is_refused():
    """Nothing in its list of operations says so; the comparison over several units does."""

    def step(a):
        return a * a.shape[-1] if a.shape else a

    with pytest.raises(TraceError, match="mixes units"):
        program(Cell("mine", ("h",), ("a",), step))


def test_how_many_values_a_step_returns():
    cell = Cell("mine", ("h", "c"), stages=(Stage(("a",), lambda a: torch.tanh(a), writes=("h", "c")),))
    with pytest.raises(TraceError, match="returns 1 values, but 2 are declared"):
        program(cell)


@pytest.mark.parametrize("value", [None, 1.0, "h"])
def test_what_is_no_tensor(value):
    with pytest.raises(TraceError, match="could not be traced"):
        program(Cell("mine", ("h",), ("a",), lambda a: value))


def test_a_condition_as_a_state():
    with pytest.raises(TraceError, match="floating-point"):
        program(Cell("mine", ("h",), ("a",), lambda a, h: a > h))
    # counted as a number it is one
    ops = [
        n.op for n in program(Cell("mine", ("h",), ("a",), lambda a, h: (a > h).to(a.dtype))).stages[0].forward.nodes
    ]
    assert "where" in ops


def test_a_value_that_depends_on_nothing():
    graph, values, grads = trace(lambda a: torch.ones_like(a) * 3, ("a",), 1, "here")
    assert graph.nodes[values[0]].value == 3.0
    assert graph.nodes[grads[0]].value == 0.0
    assert isinstance(graph, Graph)


def test_an_answer_is_remembered(problem):
    """A cell that cannot be compiled is not traced again at every call."""
    calls = []

    def step(a):
        calls.append(1)
        return torch.softmax(a, -1)

    cell = Cell("mine", ("h",), ("a",), step)
    p = tame(problem, cell, Case(2, 2, 4), torch.float64)
    recurrence(cell, p.x, p.weights, p.state)
    before = len(calls)
    recurrence(cell, p.x, p.weights, p.state)
    # two steps on the reference engine and nothing else
    assert len(calls) == before + 2
