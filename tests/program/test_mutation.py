"""Every instruction matters: change any one of a backward program, and the comparison with the reference fails.

A mutant that computes the same numbers as the original on random inputs is no mutant (operands of a sum swapped);
all others must be caught, by the run from the program and, for some, by the compiled engine.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from interpreted import gradients

from karussell import cells
from karussell.ops import recurrence
from karussell.ops.recurrence import cpp
from karussell.program import Program, program
from karussell.program.graph import MASKS, Node
from karussell.program.interpret import interpret
from karussell.program.program import Instructions
from user_cells import Case, named, off, tame

SUBJECTS = [cells.LSTM, cells.GRU, cells.RecurrentHighway]
OTHER = {
    "add": "sub", "sub": "add", "mul": "add", "div": "mul", "neg": "abs", "sigmoid": "tanh", "tanh": "sigmoid",
    "maximum": "minimum", "gt": "le", "where": "where",
}  # fmt: skip
TOLERANCE = 1e-10


def mutants(code: Instructions) -> Iterator[tuple[str, Instructions]]:
    """One instruction changed at a time: its operator, an operand, its result dropped for an operand, a number."""
    for k, node in enumerate(code.nodes):

        def put(new: Node, what: str, k: int = k) -> tuple[str, Instructions]:
            return f"{k}: {what}", replace(code, nodes=(*code.nodes[:k], new, *code.nodes[k + 1 :]))

        if node.op == "constant":
            yield put(node._replace(value=node.value + 0.5), "another number")
            continue
        if node.op == "input":
            continue
        if node.op in OTHER and OTHER[node.op] != node.op:
            yield put(node._replace(op=OTHER[node.op]), f"{node.op} becomes {OTHER[node.op]}")
        if len(node.args) == 2:
            yield put(node._replace(args=node.args[::-1]), f"{node.op} with its operands swapped")
            for side in (0, 1):
                # a term dropped: the node is one operand, times one
                yield put(Node("neg", (node.args[side],)), f"{node.op} is minus operand {side}")
        for place, argument in enumerate(node.args):
            mask = code.nodes[argument].op in MASKS
            others = [j for j in range(k) if j != argument and (code.nodes[j].op in MASKS) == mask]
            for other in others[:: max(1, len(others) // 4)]:
                args = (*node.args[:place], other, *node.args[place + 1 :])
                yield put(node._replace(args=args), f"{node.op} reads {other} in place of {argument}")
    for place, output in enumerate(code.outputs):
        other = code.outputs[place - 1]
        if other != output:
            outputs = (*code.outputs[:place], other, *code.outputs[place + 1 :])
            yield f"result {place} for result {place - 1}", replace(code, outputs=outputs)


def same_numbers(a: Instructions, b: Instructions) -> bool:
    """Whether two lists agree on random inputs, so that no comparison could tell them apart."""
    names = {n.name for n in a.nodes if n.op == "input"}
    inputs = {n: torch.randn(300, dtype=torch.float64) * 2 for n in sorted(names)}
    found = [interpret(c.nodes, c.outputs, inputs) for c in (a, b)]
    return all(torch.allclose(x, y, rtol=1e-12, atol=1e-12, equal_nan=True) for x, y in zip(*found, strict=True))


def mutated(p: Program) -> Iterator[tuple[str, Program]]:
    for k, stage in enumerate(p.stages):
        for what, code in mutants(stage.backward):
            if not same_numbers(stage.backward, code):
                stages = (*p.stages[:k], replace(stage, backward=code), *p.stages[k + 1 :])
                yield f"stage {k}, {what}", replace(p, stages=stages)


def expected(p, upstream):
    result = recurrence(p.cell, p.x, p.weights, p.state, engine="reference")
    outs = [result.y, *result.state]
    return [*outs, *torch.autograd.grad(outs, p.leaves(), upstream)]


def caught(found, wanted) -> bool:
    return not all(off(a, b.detach()) <= TOLERANCE for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("cell", SUBJECTS, ids=named)
def test_every_mutant_of_a_backward_pass_is_caught(problem, cell):
    p = tame(problem, cell, Case(3, 2, 4), torch.float64)
    upstream = [torch.randn_like(v) for v in (p.x.new_empty(3, 2, 4), *p.state)]
    wanted = expected(p, upstream)
    original = program(cell)
    assert not caught(gradients(original, p, upstream[0], upstream[1:]), wanted)
    count, survivors = 0, []
    for what, mutant in mutated(original):
        count += 1
        if not caught(gradients(mutant, p, upstream[0], upstream[1:]), wanted):
            survivors.append(what)
    assert not survivors, survivors
    # as many as there are instructions, several times over
    assert count > 2 * sum(len(s.backward.nodes) for s in original.stages)


@pytest.mark.parametrize("cell", SUBJECTS, ids=named)
def test_the_compiled_engine_computes_what_a_mutant_says(problem, cell, monkeypatch):
    """So the comparison on the compiled engine would catch it too, and no build is taken for another's."""
    p = tame(problem, cell, Case(3, 2, 4), torch.float64)
    upstream = [torch.randn_like(v) for v in (p.x.new_empty(3, 2, 4), *p.state)]
    wanted = expected(p, upstream)
    every = list(mutated(program(cell)))
    what, mutant = every[len(every) // 2]
    monkeypatch.setattr(cpp, "_known", lambda _: mutant)
    assert mutant.digest != program(cell).digest
    result = recurrence(cell, p.x, p.weights, p.state, engine="cpp")
    outs = [result.y, *result.state]
    found = [*outs, *torch.autograd.grad(outs, p.leaves(), upstream)]
    assert caught(found, wanted), what
    assert not caught(found, gradients(mutant, p, upstream[0], upstream[1:])), what
