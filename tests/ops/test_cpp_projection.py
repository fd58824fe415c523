"""A projected output on the compiled engine, alone and with every option, against the float64 reference."""

import random

import pytest
import torch

from karussell import cells
from karussell.cells import Cell
from karussell.ops import Engine, Noise, Options, recurrence
from random_problems import make_problem
from user_cells import Case, doubled, off

CELLS = [cells.LSTM, cells.PeepholeLSTM, cells.CIFG, cells.RNN, cells.FGR]
KINDS = ("resets", "zoneout", "seen", "clip", "segments", "gates")


def tamed(p):
    """Weights of the scale of a fresh layer's, so that nothing grows and float32 can be judged."""

    def leaf(v, scale: float):
        return (v.detach() * scale).requires_grad_()

    w, small = p.weights, p.weights.p.shape[1] ** -0.5
    weights = w._replace(w=leaf(w.w, w.w.shape[1] ** -0.5), r=tuple(leaf(r, small) for r in w.r), p=leaf(w.p, small))
    return p._replace(weights=weights, state=p.cell.State(*(leaf(v, 0.5) for v in p.state)))


def outcome(p, case: Case, engine: Engine, wanted: frozenset[str], resets, start):
    options = Options(
        training=True,
        zoneout=dict.fromkeys(p.cell.state, 0.3) if "zoneout" in wanted else {},
        dropout=0.3 if "seen" in wanted else 0.0,
        clip=dict.fromkeys(p.cell.state, 0.3) if "clip" in wanted else {},
    )
    recompute = next((k for k in ("segments", "gates") if k in wanted), "none")
    result = recurrence(
        p.cell,
        p.x,
        p.weights,
        p.state,
        lengths=case.lengths(),
        reverse=case.reverse,
        options=options,
        noise=Noise(3, 4),
        resets=resets,
        start=start,
        every_state=True,
        recompute=recompute if engine is Engine.cpp else "none",
        engine=engine,
    )
    outs = [result.y, *result.state, *result.states]
    generator = torch.Generator().manual_seed(1)
    upstream = [torch.randn(v.shape, generator=generator, dtype=torch.float64).float().to(v.dtype) for v in outs]
    leaves = [*p.leaves(), *(start or ())]
    return [*outs, *torch.autograd.grad(outs, leaves, upstream)]


def fitting(cell: Cell) -> bool:
    try:
        make_problem(cell, projection=2)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("cell", [c for c in CELLS if fitting(c)], ids=lambda c: c.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
def test_is_the_reference_with_any_option(cell, dtype):
    chance = random.Random(cell.name)
    for seed in range(8):
        hidden = chance.choice((3, 17, 40))
        case = Case(
            chance.choice((1, 2, 20)),
            chance.choice((1, 3, 14)),
            hidden,
            chance.randint(1, 5),
            ragged=chance.random() < 0.5,
            reverse=chance.random() < 0.5,
            threads=chance.choice((1, 2)),
        )
        wanted = frozenset(k for k in KINDS if chance.random() < 0.35)
        p = make_problem(
            cell, case.steps, case.batch, case.inputs, hidden, projection=chance.randint(1, hidden - 1), dtype=dtype
        )
        p = tamed(p)
        generator = torch.Generator().manual_seed(seed)
        resets = torch.rand(case.steps, case.batch, generator=generator) < 0.4 if "resets" in wanted else None
        start, wide = None, None
        if resets is not None:
            start = tuple(torch.randn(s.shape, generator=generator).to(dtype).requires_grad_() for s in p.state)
            wide = tuple(s.detach().double().requires_grad_() for s in start)
        torch.set_num_threads(case.threads)
        try:
            got = outcome(p, case, Engine.cpp, wanted, resets, start)
        finally:
            torch.set_num_threads(1)
        want = outcome(doubled(p), case, Engine.reference, wanted, resets, wide)
        for k, (a, b) in enumerate(zip(got, want, strict=True)):
            assert off(a, b) <= {torch.float32: 1e-5, torch.float64: 1e-13}[dtype], f"{k} in {case} with {wanted}"


def test_derivatives_by_finite_differences():
    p = make_problem(cells.LSTM, 3, 2, 2, 4, projection=3)

    def function(*leaves):
        q = p.replaced(list(leaves))
        result = recurrence(q.cell, q.x, q.weights, q.state, engine="cpp")
        return (result.y, *result.state)

    assert torch.autograd.gradcheck(function, p.leaves())
    assert torch.autograd.gradgradcheck(function, p.leaves())
