"""Engines: the vendor's against the reference, what is refused, and that what ran is known."""

import pytest
import torch

from karussell import cells
from karussell.errors import EngineError
from karussell.ops import Engine, Noise, Options, recurrence, watch

TOLERANCE = {torch.float32: {"rtol": 1e-5, "atol": 2e-6}, torch.float64: {"rtol": 1e-11, "atol": 1e-13}}


def named(value):
    return value.name if isinstance(value, cells.Cell) else None


def outcome(p, engine, **arguments):
    """The output, the final state, and gradients through both in everything."""
    result = recurrence(p.cell, p.x, p.weights, p.state, engine=engine, **arguments)
    assert result.engine == engine
    generator = torch.Generator().manual_seed(4)
    values = [result.y, *result.state]
    upstream = [torch.randn(v.shape, generator=generator, dtype=torch.float64).to(v.dtype) for v in values]
    return [*values, *torch.autograd.grad(values, p.leaves(), upstream)]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("lengths", [None, [3, 1, 0, 17, 8]], ids=["full", "ragged"])
@pytest.mark.parametrize("cell", [cells.LSTM, cells.GRU, cells.RNN, cells.ReLURNN], ids=named)
def test_vendor_is_the_reference(problem, cell, lengths, reverse, dtype):
    p = problem(cell, steps=17, batch=5, inputs=3, hidden=4, dtype=dtype)
    given = None if lengths is None else torch.tensor(lengths)
    both = [outcome(p, e, lengths=given, reverse=reverse) for e in (Engine.reference, Engine.vendor)]
    for a, b in zip(*both, strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE[dtype])


@pytest.mark.parametrize("cell", [cells.LSTM, cells.GRU, cells.RNN], ids=named)
@pytest.mark.parametrize("bias", [True, False])
def test_vendor_for_one_step_without_bias(problem, cell, bias):
    p = problem(cell, steps=1, batch=2, bias=bias)
    for a, b in zip(outcome(p, Engine.reference), outcome(p, Engine.vendor), strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE[torch.float64])


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_vendor_projects(problem):
    p = problem(cells.LSTM, projection=2)
    for a, b in zip(outcome(p, Engine.reference), outcome(p, Engine.vendor), strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE[torch.float64])


def test_half_precision_rows_stand_still_beyond_their_end(problem):
    # the column that freezes a row must be finite in every dtype the kernel computes in
    for dtype in (torch.float16, torch.bfloat16):
        p = problem(cells.LSTM, dtype=dtype, grad=False)
        lengths = torch.tensor([5, 2, 1])
        try:
            result = recurrence(cells.LSTM, p.x, p.weights, p.state, lengths=lengths, engine="vendor")
        except (RuntimeError, NotImplementedError) as error:
            assert "not implemented" in str(error) or "not supported" in str(error)  # noqa: PT017
            continue
        reference = recurrence(cells.LSTM, p.x, p.weights, p.state, lengths=lengths, engine="reference")
        torch.testing.assert_close(result.y, reference.y, rtol=0.05, atol=0.05)
        torch.testing.assert_close(result.state.c, reference.state.c, rtol=0.05, atol=0.05)


REFUSED = {
    "cell": (cells.PeepholeLSTM, {}, "no kernel for peephole_lstm"),
    "zoneout": (cells.LSTM, {"options": Options(zoneout={"h": 0.1})}, "neither zoneout nor recurrent dropout"),
    "resets": (cells.LSTM, {"resets": torch.zeros(5, 3, dtype=torch.bool)}, "cannot reset"),
    "gates": (cells.LSTM, {"every_gate": True}, "output alone at every step"),
}


@pytest.mark.parametrize(("cell", "arguments", "words"), REFUSED.values(), ids=REFUSED)
def test_a_forced_engine_that_cannot_run_says_why_and_what_to_do(problem, cell, arguments, words):
    p = problem(cell)
    with pytest.raises(EngineError, match=words) as error:
        recurrence(cell, p.x, p.weights, p.state, engine="vendor", **arguments)
    assert "'vendor' was forced, but" in str(error.value)
    assert "Use engine=" in str(error.value)
    assert recurrence(cell, p.x, p.weights, p.state, **arguments).engine != Engine.vendor


def test_an_unknown_engine_is_refused(problem):
    p = problem(cells.LSTM)
    with pytest.raises(ValueError, match="warp"):
        recurrence(cells.LSTM, p.x, p.weights, engine="warp")


def test_what_ran_is_watched(problem):
    p = problem(cells.LSTM)
    with watch() as outer:
        recurrence(cells.LSTM, p.x, p.weights, engine="reference")
        with watch() as inner:
            recurrence(cells.LSTM, p.x, p.weights, engine="vendor")
    recurrence(cells.LSTM, p.x, p.weights, engine="reference")
    assert outer == [Engine.reference, Engine.vendor]
    assert inner == [Engine.vendor]


@pytest.mark.parametrize("cell", [cells.LSTM, cells.GRUResetBefore, cells.ClockworkRNN], ids=named)
def test_auto_gives_what_the_reference_gives(problem, cell):
    p = problem(cell, steps=4)
    lengths = torch.tensor([4, 2, 3])
    auto = recurrence(cell, p.x, p.weights, p.state, lengths=lengths)
    assert auto.engine in set(Engine) - {Engine.auto}
    reference = recurrence(cell, p.x, p.weights, p.state, lengths=lengths, engine="reference")
    torch.testing.assert_close(auto.y, reference.y, **TOLERANCE[torch.float64])


def test_masks_are_the_same_on_whatever_engine_runs(problem):
    p = problem(cells.LSTM, grad=False)
    options = Options(training=True, zoneout={"h": 0.2, "c": 0.3}, dropout=0.3)
    runs = [
        recurrence(cells.LSTM, p.x, p.weights, p.state, options=options, noise=Noise(1, 2), engine=e)
        for e in ("auto", "reference")
    ]
    torch.testing.assert_close(runs[0].y, runs[1].y, **TOLERANCE[torch.float64])


def test_transforms_run_on_the_reference(problem):
    p = problem(cells.LSTM, grad=False)

    def outputs(x, engine="auto"):
        return recurrence(cells.LSTM, x, p.weights, p.state, engine=engine).y

    def total(x):
        return outputs(x).square().sum()

    tangent = torch.ones_like(p.x)
    with watch() as ran:
        _, by_function = torch.func.jvp(outputs, (p.x,), (tangent,))
        with torch.autograd.forward_ad.dual_level():
            dual = outputs(torch.autograd.forward_ad.make_dual(p.x, tangent))
            by_dual = torch.autograd.forward_ad.unpack_dual(dual).tangent
        many = torch.func.vmap(outputs)(torch.stack([p.x, 2 * p.x]))
        gradient = torch.func.grad(total)(p.x)
    assert set(ran) == {Engine.reference}
    step = 1e-6
    expected = (outputs(p.x + step * tangent) - outputs(p.x - step * tangent)) / (2 * step)
    torch.testing.assert_close(by_function, expected, atol=1e-8, rtol=1e-6)
    torch.testing.assert_close(by_dual, by_function)
    torch.testing.assert_close(many, torch.stack([outputs(p.x), outputs(2 * p.x)]))
    x = p.x.clone().requires_grad_()
    torch.testing.assert_close(gradient, torch.autograd.grad(total(x), x)[0])
