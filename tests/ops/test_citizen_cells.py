"""A cell of one's own, ten lines, is a full citizen: every engine, every derivative, every option of a layer."""

import pytest
import torch
from torch import Tensor

from karussell import nn
from karussell.cells import Cell
from karussell.ops import Noise, Options, recurrence, watch
from user_cells import Case, off, tame


# the ten lines
def leaky(a: Tensor, z: Tensor, h: Tensor, m: Tensor, rate: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
    m = torch.exp(-rate.abs() * gap) * m + torch.sigmoid(z) * torch.nn.functional.silu(a)
    return torch.where(m > 0, torch.tanh(m), 0.1 * m) + 0.1 * h.clamp(-1, 1), m


Leaky = Cell("leaky", ("h", "m"), ("a", "z"), leaky, sees=("h", "m"), units={"rate": 0.5}, inputs=("gap",))


def run(p, engine, **arguments):
    return recurrence(p.cell, p.x, p.weights, p.state, inputs=p.inputs, engine=engine, **arguments)


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
def test_on_every_engine_that_can_run(problem, reverse):
    p = tame(problem, Leaky, Case(9, 5, 20), torch.float64)
    lengths = torch.tensor([9, 0, 4, 7, 1])
    found = {}
    for engine in ("reference", "cpp", "auto"):
        result = run(p, engine, lengths=lengths, reverse=reverse, every_state=True)
        outs = [result.y, *result.state, *result.states]
        generator = torch.Generator().manual_seed(2)
        upstream = [torch.randn(v.shape, generator=generator, dtype=v.dtype) for v in outs]
        found[engine] = [*outs, *torch.autograd.grad(outs, p.leaves(), upstream)]
        assert result.engine == ("cpp" if engine == "auto" else engine)
    for name in ("cpp", "auto"):
        for a, b in zip(found[name], found["reference"], strict=True):
            assert off(a, b) < 1e-14


@pytest.mark.parametrize("engine", ["reference", "cpp"])
def test_by_finite_differences(problem, engine):
    p = tame(problem, Leaky, Case(3, 2, 3, 2), torch.float64)

    def function(*leaves):
        result = run(p.replaced(list(leaves)), engine, lengths=torch.tensor([3, 2]))
        return (result.y, *result.state)

    assert torch.autograd.gradcheck(function, p.leaves(), atol=1e-7)
    assert torch.autograd.gradgradcheck(function, p.leaves(), atol=1e-6)


@pytest.mark.parametrize("engine", ["reference", "cpp"])
def test_in_a_layer_of_two_directions(engine):
    layer = nn.Recurrent(Leaky, 6, 10, num_layers=2, bidirectional=True, engine=engine)
    x, gaps = torch.randn(12, 3, 6), torch.rand(12, 3)
    with watch() as ran:
        y, state = layer(x, inputs={"gap": gaps}, lengths=[12, 5, 9])
    assert ran == [engine] * 4
    assert y.shape == (12, 3, 20)
    assert state.m.shape == (4, 3, 10)
    y.square().sum().backward()
    assert all(torch.isfinite(v.grad).all() for v in layer.parameters())
    again = nn.Recurrent(Leaky, 6, 10, num_layers=2, bidirectional=True, engine="reference")
    again.load_state_dict(layer.state_dict())
    torch.testing.assert_close(y, again(x, inputs={"gap": gaps}, lengths=[12, 5, 9])[0], rtol=1e-5, atol=1e-5)


def test_options_come_with_the_cell(problem):
    p = tame(problem, Leaky, Case(4, 2, 6), torch.float64)
    options = Options(training=True, zoneout={"m": 0.2}, dropout=0.1)
    resets = torch.tensor([[0, 1], [0, 0], [1, 1], [0, 0]]).bool()
    both = [run(p, e, options=options, noise=Noise(1, 1), resets=resets) for e in ("auto", "reference")]
    assert [r.engine for r in both] == ["cpp", "reference"]
    torch.testing.assert_close(both[0].y, both[1].y)


def test_what_the_compiled_engine_has_not_runs_elsewhere(problem):
    p = tame(problem, Leaky, Case(4, 2, 6), torch.float64)
    assert run(p, "auto", every_gate=True).engine == "reference"
    gap = p.inputs["gap"].requires_grad_()
    assert run(p._replace(inputs={"gap": gap}), "auto").engine == "reference"


def test_it_learns_compiled_as_by_reference():
    """A leaky memory told when to write: the sum of marked inputs over twenty steps."""
    losses: dict[str, list[float]] = {"cpp": [], "reference": []}
    for engine, found in losses.items():
        torch.manual_seed(1)
        layer = nn.Recurrent(Leaky, 2, 24, engine=engine, dtype=torch.float64)
        read = torch.nn.Linear(24, 1, dtype=torch.float64)
        optimiser = torch.optim.Adam([*layer.parameters(), *read.parameters()], 0.01)
        for _ in range(60):
            x = torch.stack([torch.rand(20, 64), (torch.rand(20, 64) < 0.1).float()], -1).double()
            target = (x[..., 0] * x[..., 1]).sum(0)
            y = layer(x, inputs={"gap": torch.full((20, 64), 0.01, dtype=torch.float64)})[0]
            loss = (read(y[-1])[:, 0] - target).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            found.append(loss.item())
    # Adam divides by its own gradients, so differences of rounding grow from step to step
    torch.testing.assert_close(losses["cpp"][:20], losses["reference"][:20], rtol=1e-8, atol=0)
    torch.testing.assert_close(losses["cpp"], losses["reference"], rtol=1e-3, atol=0)
    # from knowing nothing, about 1.5, to better than the mean, whose error is the variance, about 0.5
    assert sum(losses["cpp"][-10:]) / 10 < 0.6 * losses["cpp"][0]
