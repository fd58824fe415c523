"""The trace of every cell says what its step says: values, the vector-Jacobian product, whole recurrences."""

import pytest
import torch
from interpreted import gradients

from karussell import cells
from karussell.cells import Cell, Stage
from karussell.ops import recurrence
from karussell.program import program
from karussell.program.graph import compact
from karussell.program.interpret import interpret
from karussell.program.trace import trace
from user_cells import EVERY, USER, Case, named, tame

F64 = torch.float64
EXACT = {"rtol": 1e-12, "atol": 1e-12}
STAGES = [pytest.param(c, k, id=f"{c.name}-{k}") for c in (*cells.CELLS, *USER) for k in range(len(c.stages))]


def called(step, arguments):
    result = step(*arguments)
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize(("cell", "number"), STAGES)
def test_values_and_products_with_the_jacobian(cell, number):
    stage = cell.stages[number]
    graph, values, grads = trace(stage.step, stage.takes, len(stage.writes), "here")
    assert len(values) == len(stage.writes)
    assert len(grads) == len(stage.takes)
    given = [torch.randn(200, dtype=F64).mul(2).requires_grad_() for _ in stage.takes]
    if cell is cells.ClockworkRNN:
        given = [
            (v.detach() * 4).round().abs() + 1 if n in ("t", "period") else v
            for n, v in zip(stage.takes, given, strict=True)
        ]
        given = [v.requires_grad_() for v in given]
    upstream = [torch.randn(200, dtype=F64) for _ in stage.writes]
    expected = called(stage.step, given)
    through = [(v, u) for v, u in zip(expected, upstream, strict=True) if v.requires_grad]
    pulled = torch.autograd.grad([v for v, _ in through], given, [u for _, u in through], allow_unused=True)
    inputs = {n: v.detach() for n, v in zip(stage.takes, given, strict=True)}
    inputs |= {f"d{k}": u for k, u in enumerate(upstream)}
    found = interpret(*compact(graph.nodes, [*values, *grads]), inputs)
    for a, b in zip(found, [*expected, *pulled], strict=True):
        torch.testing.assert_close(a, torch.zeros_like(a) if b is None else b.detach(), **EXACT)


@pytest.mark.parametrize("cell", [c for c in EVERY if c.block == c.heads == 1 and c.mask is None], ids=named)
def test_a_recurrence_run_from_the_program_alone(problem, cell):
    p = tame(problem, cell, Case(4, 3, 4), F64)
    result = recurrence(cell, p.x, p.weights, p.state, inputs=p.inputs, engine="reference")
    outs = [result.y, *result.state]
    upstream = [torch.randn(v.shape, dtype=F64) for v in outs]
    through = [(v, u) for v, u in zip(outs, upstream, strict=True) if v.requires_grad]
    expected = torch.autograd.grad([v for v, _ in through], p.leaves(), [u for _, u in through], allow_unused=True)
    found = gradients(program(cell), p, upstream[0], upstream[1:])
    for a, b in zip(found, [*(v.detach() for v in outs), *expected], strict=True):
        torch.testing.assert_close(a, torch.zeros_like(a) if b is None else b, **EXACT)


@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_numbers_of_values_hang_together(cell):
    p = program(cell)
    count = len(p.states)
    written = [n for s in p.stages for n in s.writes]
    assert len(set(written)) == len(written)
    assert set(range(count, 2 * count)) <= set(written)
    done = {*range(count), *range(p.first_fixed, p.first_fixed + len(p.fixed))}
    for s in p.stages:
        # what a stage reads is there: states before the step, what is fixed, what earlier stages passed on
        assert {*s.takes, *s.sees} <= done
        assert set(s.needs) <= done | set(s.writes)
        assert set(s.d_takes) <= set(s.takes)
        assert not {*s.d_takes, *s.sees} & set(range(count, 2 * count))
        assert len(s.forward.outputs) == len(s.writes) + s.saved
        assert len(s.backward.outputs) == len(s.arrivals) + len(s.d_takes) + len(s.d_units)
        done |= {n for n in s.writes if n >= 2 * count}
        for code in (s.forward, s.backward):
            assert all(a < k for k, node in enumerate(code.nodes) for a in node.args)
            assert len(set(code.nodes)) == len(code.nodes) or any(n.value != n.value for n in code.nodes)
    assert sorted(set(p.arrivals)) == sorted(p.arrivals)


def test_mixed_dimensions_of_one_step():
    """What a step asks of its arguments' shape is answered for one unit."""
    cell = Cell("shaped", ("h",), ("a",), lambda a: a * torch.ones(a.shape, dtype=a.dtype) + a.new_full(a.shape, 0.5))
    ops = [n.op for n in program(cell).stages[0].forward.nodes]
    assert ops == ["input", "constant", "add"]


def test_writing_in_place_is_allowed():
    def step(a, h):
        a = a.clone()
        a.mul_(h).add_(1)
        a[...] = torch.tanh(a)
        return a

    plain = Cell("mine", ("h",), ("a",), lambda a, h: torch.tanh(a * h + 1))
    assert program(Cell("mine", ("h",), ("a",), step)).digest == program(plain).digest


def test_a_state_written_early_is_handed_on_by_the_last_stage():
    from user_cells import Looking

    p = program(Looking)
    assert p.between == ("c.0",)
    assert p.stages[0].writes == (4,)
    assert p.stages[1].writes == (2, 3)
    assert p.stages[1].sees == (4, 0)


def test_stages_after_a_state_is_final_see_the_new_one():
    stages = (
        Stage(("a",), lambda a, c: torch.tanh(a) + c, writes=("c",)),
        Stage(("b",), lambda b, c: b * c, writes=("h",)),
    )
    assert program(Cell("mine", ("h", "c"), stages=stages)).stages[1].takes == (4,)
