"""The Triton engine against the float64 reference: problems, outcomes, schedules, tolerances."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from karussell.cells import Cell
from karussell.native import triton as available
from karussell.ops import Engine, Noise, Options, recurrence, shapes, watch
from karussell.ops.recurrence.triton.schedule import Schedule, forced
from random_problems import make_problem
from user_cells import Case, doubled, off, tame

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
NOISE = Noise(5, 3, 1)
PLAIN = Options()
needed = pytest.mark.skipif(
    available.why_not(DEVICE) is not None, reason=f"Triton's kernels cannot run here: {available.why_not(DEVICE)}"
)

# small tiles, so that there are several; a program that waits for others must be the only one of its rows
SCHEDULES = {
    "resident": Schedule("resident", rows=2),
    "resident, loaded once": Schedule("resident", rows=2, tiles=1),
    "stepwise": Schedule("stepwise", rows=2, units=4),
    "spread": Schedule("spread", rows=4, units=16, depth=4),
    "spread, loaded once": Schedule("spread", rows=4, units=16, depth=4, tiles=1),
}
if DEVICE.type == "cuda":
    # products of a device are made of tiles of 16 at least
    SCHEDULES = {n: s._replace(rows=16, units=16, depth=16) for n, s in SCHEDULES.items()}


def tolerance(dtype: torch.dtype, steps: int) -> float:
    """As user_cells.off measures. float32: ten times what was measured.

    In the short formats inputs, weights, what R multiplies, stored values and gradients of pre-activations are each
    rounded to half a unit in the last place, 2^-9 and 2^-12: eight such roundings a step, which may all add up.
    """
    if dtype is torch.float32:
        return 1e-5
    return 8 * steps * (2.0**-9 if dtype is torch.bfloat16 else 2.0**-12)


def with_gains(p, seed: int):
    """The problem under layer norm."""
    generator = torch.Generator().manual_seed(seed)
    need = shapes(p.cell, p.x.shape[2], p.weights.w.shape[0] // len(p.cell.fed))

    def gain(size: int) -> Tensor:
        return (1 + 0.3 * torch.randn(size, generator=generator)).to(p.x.dtype).requires_grad_()

    return p._replace(weights=p.weights._replace(norm_x=gain(need.norm_x), norm_r=tuple(map(gain, need.norm_r))))


def outcome(p, case: Case, engine: Engine, options: Options = PLAIN, resets=None, start=None) -> dict[str, Tensor]:
    """Values and gradients by name; missing gradients are zeros."""
    with watch() as ran:
        result = recurrence(
            p.cell,
            p.x,
            p.weights,
            p.state if case.state else None,
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
    assert ran == [engine]
    return gradients(result, [*p.leaves(), *(s for s in start or () if s.requires_grad)], case.upstream)


def gradients(result, leaves: Sequence[Tensor], upstream: str) -> dict[str, Tensor]:
    """What a result holds, and the gradients of the leaves when fixed random numbers flow into it."""
    found = {"y": result.y}
    found |= {f"final {n}": v for n, v in result.state._asdict().items()}
    found |= {f"states {n}": v for n, v in result.states._asdict().items()}
    generator = torch.Generator().manual_seed(7)
    flows = []
    for name, value in found.items():
        drawn = torch.randn(value.shape, generator=generator, dtype=torch.float64).float().to(value.dtype)
        if name.split()[0] in upstream and value.requires_grad:
            flows.append((value, drawn.to(value.device)))
    grads = torch.autograd.grad([v for v, _ in flows], leaves, [u for _, u in flows], allow_unused=True)
    zeroed = (torch.zeros_like(v) if g is None else g for v, g in zip(leaves, grads, strict=True))
    return found | {f"gradient {k} {tuple(v.shape)}": g for k, (v, g) in enumerate(zip(leaves, zeroed, strict=True))}


def moved(p):
    """The problem on the device."""
    q = p.replaced([v.detach().to(DEVICE).requires_grad_() for v in p.leaves()])
    units = {n: v.to(DEVICE) for n, v in q.weights.units.items()}
    state = q.cell.State(*(v.to(DEVICE) for v in q.state))
    inputs = {n: v.to(DEVICE) for n, v in p.inputs.items()}
    return q._replace(weights=q.weights._replace(units=units), state=state, inputs=inputs)


def compare(
    cell: Cell,
    case: Case,
    schedule: str,
    dtype: torch.dtype = torch.float32,
    options: Options = PLAIN,
    resets: bool = False,
    start: bool = False,
    norm: bool = False,
    seed: int = 0,
) -> float:
    """The largest error as a part of what is tolerated; every result must have the dtype of the problem."""
    p = tame(make_problem, cell, case, dtype, seed)
    p = with_gains(p, seed) if norm else p
    generator = torch.Generator().manual_seed(seed)
    cut = torch.rand(case.steps, case.batch, generator=generator) < 0.4 if resets else None
    fresh = None
    if start:
        drawn = [torch.randn(s.shape, generator=generator).to(dtype) for s in p.state]
        fresh = tuple(v.requires_grad_(s.requires_grad) for v, s in zip(drawn, p.state, strict=True))
    wide = None if fresh is None else tuple(s.detach().double().requires_grad_(s.requires_grad) for s in fresh)
    if DEVICE.type == "cuda":
        put = None if fresh is None else tuple(s.detach().to(DEVICE).requires_grad_(s.requires_grad) for s in fresh)
    else:
        put = fresh
    with forced(SCHEDULES[schedule]):
        got = outcome(moved(p), case, Engine.triton, options, cut, put)
    want = outcome(doubled(p), case, Engine.reference, options, cut, wide)
    assert got.keys() == want.keys()
    worst, allowed = 0.0, tolerance(dtype, case.steps)
    for name, value in want.items():
        assert got[name].dtype == dtype
        error = off(got[name].cpu(), value) / allowed
        # written so that a nan fails
        assert error <= 1, f"{name} is off by {error:.2g} times the tolerance in {case}, {schedule}, {dtype}"
        worst = max(worst, error)
    return worst
