"""The compiled engine against the reference in float64: values, every state at every step, and all gradients."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from karussell.ops import Engine, recurrence, watch
from user_cells import EVERY, Case, doubled, fitting, named, off, tame

# as user_cells.off measures; five times what was measured
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-14}

CASES = (
    Case(1, 1, 5),
    Case(1, 5, 20, ragged=True, reverse=True),
    Case(2, 5, 5, reverse=True, inputs=1),
    Case(3, 1, 36, state=False, inputs=40),
    Case(3, 5, 20, ragged=True, upstream="final"),
    Case(3, 5, 20, ragged=True, reverse=True, upstream="y"),
    Case(17, 5, 36),
    Case(17, 5, 20, ragged=True, upstream="states"),
    Case(17, 1, 64, state=False, reverse=True, upstream="y final"),
    Case(3, 5, 64, bias=False, ragged=True, reverse=True),
    # with two threads: rows are divided
    Case(17, 30, 5, ragged=True, reverse=True, threads=2),
    Case(17, 30, 5, ragged=True, threads=2),
    Case(2, 30, 36, threads=2, reverse=True),
    # with two threads: units are divided
    Case(3, 23, 68, threads=2),
    Case(3, 23, 68, ragged=True, threads=2),
    Case(2, 23, 68, ragged=True, reverse=True, threads=2),
)


@contextmanager
def using(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def outcome(p, case: Case, engine: Engine) -> dict[str, torch.Tensor]:
    """Values and gradients by name; missing gradients are zeros."""
    state = p.state if case.state else None
    with watch() as ran:
        result = recurrence(
            p.cell,
            p.x,
            p.weights,
            state,
            inputs=p.inputs,
            lengths=case.lengths(),
            reverse=case.reverse,
            every_state=True,
            engine=engine,
        )
    assert ran == [engine]
    found = {"y": result.y}
    found |= {f"final {n}": v for n, v in result.state._asdict().items()}
    found |= {f"states {n}": v for n, v in result.states._asdict().items()}
    generator = torch.Generator().manual_seed(7)
    flows = []
    for name, value in found.items():
        upstream = torch.randn(value.shape, generator=generator, dtype=torch.float64).float().to(value.dtype)
        if name.split()[0] in case.upstream and value.requires_grad:
            flows.append((value, upstream))
    leaves = p.leaves()
    grads = torch.autograd.grad([v for v, _ in flows], leaves, [u for _, u in flows], allow_unused=True)
    zeroed = (torch.zeros_like(v) if g is None else g for v, g in zip(leaves, grads, strict=True))
    return found | {f"gradient {k} {tuple(v.shape)}": g for k, (v, g) in enumerate(zip(leaves, zeroed, strict=True))}


def compare(p, case: Case) -> None:
    tolerance = TOLERANCE[p.x.dtype]
    with using(case.threads):
        got = outcome(p, case, Engine.cpp)
    want = outcome(doubled(p), case, Engine.reference)
    assert got.keys() == want.keys()
    for name, value in want.items():
        assert got[name].dtype == p.x.dtype
        error = off(got[name], value)
        # written so that a nan fails
        assert error <= tolerance, f"{name} is off by {error:.2e} in {case}"


@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda d: str(d)[6:])
@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_the_compiled_engine_is_the_reference(problem, cell, dtype):
    for case in CASES:
        compare(tame(problem, cell, case, dtype), case)


@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_in_whatever_shape_chance_brings(problem, cell):
    chance = random.Random(named(cell))
    for seed in range(12):
        case = Case(
            chance.choice((1, 2, 3, 7)),
            chance.choice((1, 2, 13, 26)),
            chance.randint(1, 40),
            inputs=chance.randint(1, 20),
            ragged=chance.random() < 0.6,
            reverse=chance.random() < 0.5,
            threads=chance.choice((1, 2, 3)),
            state=chance.random() < 0.7,
            bias=chance.random() < 0.7,
            upstream=chance.choice(("y", "final", "states", "y final", "y final states")),
        )
        compare(tame(problem, cell, case, torch.float64, seed), case)


def test_cases_reach_every_way_of_dividing_the_work():
    """Should the thresholds move, the cases must follow."""
    from karussell.ops.recurrence.invoke import threads
    from karussell.ops.threads import most
    from karussell.program import program

    for cell in EVERY:
        ways = set()
        for case in CASES:
            with using(case.threads):
                ways.add(threads(case.batch, fitting(cell, case.hidden), len(program(cell).arrivals), most()))
        assert ways == {(1, 0), (2, 0), (2, 1)}, cell.name
