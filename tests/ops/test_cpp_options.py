"""Options on the compiled engine, alone and mixed: resets, zoneout, recurrent dropout, layer norm."""

import random

import pytest
import torch
from torch import Tensor

from karussell import cells
from karussell.ops import Engine, Noise, Options, recurrence, shapes
from karussell.ops.noise import uniform
from user_cells import EVERY, Case, doubled, named, off, tame

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-13}
NOISE = Noise(5, 3, 1)
CANDIDATES = (cells.LSTM, cells.GRU, cells.GRUResetBefore)


def with_gains(p, seed: int):
    generator = torch.Generator().manual_seed(seed)
    need = shapes(p.cell, p.x.shape[2], p.weights.w.shape[0] // len(p.cell.fed))

    def gain(size: int) -> Tensor:
        drawn = 1 + 0.3 * torch.randn(size, generator=generator, dtype=torch.float64)
        return drawn.float().to(p.x.dtype).requires_grad_()

    return p._replace(weights=p.weights._replace(norm_x=gain(need.norm_x), norm_r=tuple(map(gain, need.norm_r))))


def outcome(p, case: Case, engine: Engine, options: Options, resets, start) -> list[Tensor]:
    result = recurrence(
        p.cell,
        p.x,
        p.weights,
        p.state,
        inputs=p.inputs,
        lengths=case.lengths(),
        reverse=case.reverse,
        every_state=True,
        engine=engine,
        options=options,
        noise=NOISE,
        resets=resets,
        start=start,
    )
    assert result.engine == engine
    outs = [result.y, *result.state, *result.states]
    generator = torch.Generator().manual_seed(1)
    upstream = [torch.randn(v.shape, generator=generator, dtype=torch.float64).float().to(v.dtype) for v in outs]
    flows = [(v, u) for v, u in zip(outs, upstream, strict=True) if v.requires_grad]
    leaves = [*p.leaves(), *(s for s in start or () if s.requires_grad)]
    grads = torch.autograd.grad([v for v, _ in flows], leaves, [u for _, u in flows], allow_unused=True)
    return [*outs, *(torch.zeros_like(v) if g is None else g for v, g in zip(leaves, grads, strict=True))]


def compare(problem, cell, chance: random.Random, seed: int, wanted: frozenset[str]) -> None:
    case = Case(
        chance.choice((1, 2, 3, 9)),
        chance.choice((1, 2, 13, 26)),
        # of very few units or inputs layer norm leaves only rounding
        chance.randint(6 if "norm" in wanted else 1, 40),
        inputs=chance.randint(5 if "norm" in wanted else 1, 9),
        ragged=chance.random() < 0.6,
        reverse=chance.random() < 0.5,
        threads=chance.choice((1, 2)),
    )
    dtype = chance.choice(list(TOLERANCE))
    p = tame(problem, cell, case, dtype, seed)
    sees = any(s.sees for s in cell.stages)
    if "norm" in wanted and sees and cell.block == cell.heads == 1:
        p = with_gains(p, seed)
    generator = torch.Generator().manual_seed(seed)
    options = Options(
        training="evaluation" not in wanted,
        zoneout={n: 0.2 + 0.1 * k for k, n in enumerate(cell.state)} if "zoneout" in wanted else {},
        dropout=0.3 if ("seen" in wanted and sees) or "candidate" in wanted else 0.0,
        dropout_on="candidate" if "candidate" in wanted else "seen",
        clip={n: 0.1 + 0.2 * k for k, n in enumerate(cell.state)} if "clip" in wanted else {},
    )
    resets = torch.rand(case.steps, case.batch, generator=generator) < 0.4 if "resets" in wanted else None
    start, wide = None, None
    if resets is not None and seed % 2:
        drawn = [torch.randn(s.shape, generator=generator).to(dtype) for s in p.state]
        start = tuple(v.requires_grad_(s.requires_grad) for v, s in zip(drawn, p.state, strict=True))
        wide = tuple(s.detach().double().requires_grad_(s.requires_grad) for s in start)
    before = torch.get_num_threads()
    torch.set_num_threads(case.threads)
    try:
        got = outcome(p, case, Engine.cpp, options, resets, start)
    finally:
        torch.set_num_threads(before)
    want = outcome(doubled(p), case, Engine.reference, options, resets, wide)
    for k, (a, b) in enumerate(zip(got, want, strict=True)):
        # written so that a nan fails
        assert off(a, b) <= TOLERANCE[dtype], f"number {k} is off by {off(a, b):.1e} with {sorted(wanted)} in {case}"


@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_any_mix_of_options_is_the_reference(problem, cell):
    chance = random.Random(named(cell))
    for seed in range(8):
        kinds = ("resets", "zoneout", "seen", "norm", "clip", "evaluation")
        compare(problem, cell, chance, seed, frozenset(k for k in kinds if chance.random() < 0.5))


@pytest.mark.parametrize("cell", CANDIDATES, ids=named)
def test_a_mask_on_the_candidate(problem, cell):
    chance = random.Random(named(cell))
    for seed in range(6):
        more = frozenset(k for k in ("resets", "zoneout", "norm") if chance.random() < 0.5)
        compare(problem, cell, chance, seed, more | {"candidate"})


@pytest.mark.parametrize("kind", ["resets", "zoneout", "seen", "candidate", "norm", "clip"])
def test_each_alone_and_all_together_by_finite_differences(problem, kind):
    p = tame(problem, cells.LSTM, Case(4, 2, 3, 2), torch.float64)
    p = with_gains(p, 0) if kind == "norm" else p
    drop = 0.3 if kind in ("seen", "candidate") else 0.0
    zone = {"h": 0.2, "c": 0.3} if kind == "zoneout" else {}
    clip = {"h": 0.1, "c": 0.2} if kind == "clip" else {}
    options = Options(True, zone, drop, "candidate" if kind == "candidate" else "seen", clip)
    resets = torch.tensor([[0, 1], [1, 0], [0, 0], [0, 1]]).bool() if kind == "resets" else None

    def function(*leaves):
        q = p.replaced(list(leaves))
        result = recurrence(q.cell, q.x, q.weights, q.state, options=options, noise=NOISE, resets=resets, engine="cpp")
        return (result.y, *result.state)

    assert torch.autograd.gradcheck(function, p.leaves(), atol=1e-7)
    assert torch.autograd.gradgradcheck(function, p.leaves(), atol=1e-6)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda d: str(d)[6:])
def test_masks_are_the_same_to_the_bit(problem, dtype):
    """A unit that is zoned out at rate one keeps its state; so the mask can be read off, and it is the reference's."""
    p = tame(problem, cells.MinGRU, Case(6, 26, 37), dtype)
    rate = 0.37
    options = Options(True, {"h": rate})
    for threads in (1, 2):
        torch.set_num_threads(threads)
        y = recurrence(p.cell, p.x, p.weights, p.state, options=options, noise=NOISE, engine="cpp").y
        torch.set_num_threads(1)
        kept = torch.cat([p.state.h[None], y[:-1]]) == y
        drawn = torch.stack([uniform(NOISE, 200, t, 26, 37) < rate for t in range(6)])
        assert torch.equal(kept, drawn)


def test_nan_beyond_the_end_is_never_read_under_layer_norm(problem):
    case = Case(5, 4, 9, ragged=True)
    p = with_gains(tame(problem, cells.LSTM, case, torch.float64), 0)
    lengths = case.lengths()
    clean = outcome(p, case, Engine.cpp, Options(), None, None)
    with torch.no_grad():
        for b, n in enumerate(lengths):
            p.x[int(n) :, b] = torch.nan
    for a, b in zip(outcome(p, case, Engine.cpp, Options(), None, None), clean, strict=True):
        torch.testing.assert_close(a, b)
