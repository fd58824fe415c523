"""Every option on one layer at once: resets, zoneout, dropout, layer norm, clipping, projection, recomputation."""

import pytest
import torch

from karussell import cells
from karussell.ops import Noise, Options, recurrence
from random_problems import make_problem

OPTIONS = Options(True, {"h": 0.2, "c": 0.3}, 0.3, "seen", {"h": 0.6, "c": 0.7})
LENGTHS = torch.tensor([6, 0, 4])


def run(p, engine: str, recompute: str, reverse: bool):
    resets = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0]]).bool()
    start = tuple(torch.full_like(s, 0.1) for s in p.state)
    return recurrence(
        p.cell,
        p.x,
        p.weights,
        p.state,
        lengths=LENGTHS,
        resets=resets,
        start=start,
        reverse=reverse,
        options=OPTIONS,
        noise=Noise(2, 9),
        every_state=True,
        recompute=recompute,
        engine=engine,
    )


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("recompute", ["none", "segments"])
def test_all_at_once_is_the_reference(recompute, reverse):
    p = make_problem(cells.LSTM, 6, 3, 4, 21, norm=True, projection=18)
    found = []
    for engine in ("cpp", "reference"):
        result = run(p, engine, recompute if engine == "cpp" else "none", reverse)
        outs = [result.y, *result.state, *result.states]
        generator = torch.Generator().manual_seed(1)
        flows = [torch.randn(v.shape, generator=generator, dtype=v.dtype) for v in outs]
        found.append([*outs, *torch.autograd.grad(outs, p.leaves(), flows)])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_all_at_once_by_finite_differences():
    p = make_problem(cells.LSTM, 6, 3, 4, 6, norm=True, projection=5)

    def function(*leaves):
        result = run(p.replaced(list(leaves)), "cpp", "none", False)
        return (result.y, *result.state)

    assert torch.autograd.gradcheck(function, p.leaves(), atol=1e-6)
