"""Stored values made again: the same outputs and gradients, in less memory."""

import random

import pytest
import torch

from karussell import cells
from karussell.nn import Recurrent
from karussell.ops import Noise, Options, recurrence, watch
from karussell.ops.recurrence import segments
from user_cells import EVERY, Case, named, tame

NOISE = Noise(7, 3)


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(segments, "size", lambda p, steps: 3)


def run(p, case, recompute, options, resets, start):
    result = recurrence(
        p.cell,
        p.x,
        p.weights,
        p.state,
        lengths=case.lengths(),
        inputs=p.inputs,
        reverse=case.reverse,
        options=options,
        noise=NOISE,
        resets=resets,
        start=start,
        every_state=True,
        recompute=recompute,
        engine="cpp",
    )
    outputs = [result.y, *result.state, *result.states]
    generator = torch.Generator().manual_seed(1)
    flows = [torch.randn(v.shape, generator=generator, dtype=v.dtype) for v in outputs]
    pairs = [(v, u) for v, u in zip(outputs, flows, strict=True) if v.requires_grad]
    leaves = [*p.leaves(), *(start or ())]
    leaves = [v for v in leaves if v.requires_grad]
    return outputs, torch.autograd.grad([v for v, _ in pairs], leaves, [u for _, u in pairs], allow_unused=True)


@pytest.mark.parametrize("how", ["gates", "segments"])
@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_pieces_are_the_whole(problem, cell, how):
    chance = random.Random(named(cell))
    for seed in range(4):
        case = Case(8, 3, 5, 4, ragged=seed % 2 == 1, reverse=seed >= 2)
        p = tame(problem, cell, case, torch.float64, seed)
        wanted = {k for k in ("resets", "zoneout", "clip") if chance.random() < 0.3}
        generator = torch.Generator().manual_seed(seed)
        resets = torch.rand(8, 3, generator=generator) < 0.4 if "resets" in wanted else None
        start = None
        if resets is not None:
            drawn = [torch.randn(s.shape, generator=generator, dtype=torch.float64) for s in p.state]
            start = tuple(v.requires_grad_(s.requires_grad) for v, s in zip(drawn, p.state, strict=True))
        options = Options(
            training=True,
            zoneout=dict.fromkeys(cell.state, 0.3) if "zoneout" in wanted else {},
            clip=dict.fromkeys(cell.state, 0.4) if "clip" in wanted else {},
        )
        outputs, grads = run(p, case, how, options, resets, start)
        expected, expected_grads = run(p, case, "none", options, resets, start)
        for a, b in zip(outputs, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
        for a, b in zip(grads, expected_grads, strict=True):
            assert (a is None) == (b is None)
            if a is None:
                continue
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("how", ["gates", "segments"])
def test_derivatives_by_finite_differences(problem, how):
    p = tame(problem, cells.LSTM, Case(5, 2, 3, 2), torch.float64)

    def function(*leaves):
        q = p.replaced(list(leaves))
        result = recurrence(q.cell, q.x, q.weights, q.state, recompute=how, engine="cpp")
        return (result.y, *result.state)

    assert torch.autograd.gradcheck(function, p.leaves())
    assert torch.autograd.gradgradcheck(function, p.leaves())


def test_a_layer_takes_it_and_the_compiled_engine_runs():
    torch.manual_seed(0)
    whole = Recurrent(cells.LSTM, 4, 6, 2, bidirectional=True)
    pieces = Recurrent(cells.LSTM, 4, 6, 2, bidirectional=True, recompute="segments")
    pieces.load_state_dict(whole.state_dict())
    x = torch.randn(11, 3, 4)
    found = []
    for layer in (whole, pieces):
        with watch() as ran:
            y, _ = layer(x)
        y.square().sum().backward()
        found.append([y, *(p.grad for p in layer.parameters())])
    assert {str(engine) for engine in ran} == {"cpp"}
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_an_unknown_word_is_refused():
    p = Recurrent(cells.LSTM, 2, 3, recompute="some")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="recompute is 'some'; it must be"):
        p(torch.randn(2, 1, 2))
