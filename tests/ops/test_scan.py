"""The scan engine: the reference's numbers in every shape, and no error that grows with the length."""

import pytest
import torch
from torch import Tensor

from karussell import cells, nn
from karussell.cells import Cell
from karussell.errors import EngineError
from karussell.ops import Noise, Options, recurrence, watch
from user_cells import Case, off, tame


def _two(a: Tensor, z: Tensor, k: Tensor, u: Tensor, v: Tensor, y: Tensor, rate: Tensor, gap: Tensor):
    """v reads the old u, and y the new v: two lines one after the other, and a state that nothing reads back."""
    decay = torch.exp(-rate.abs() * gap)
    v = decay * v - u * torch.sigmoid(z)
    return torch.tanh(v) * k, torch.where(a > 0, u / (1 + a.abs()), 0.5 * u - a), v


Two = Cell("two", ("y", "u", "v"), ("a", "z"), lambda a, z, k, u, v, rate, gap: _two(a, z, k, u, v, None, rate, gap),
           sees=(), units={"rate": 0.5}, constants={"k": 2.0}, inputs=("gap",))  # fmt: skip
AFFINE = (cells.MinLSTM, cells.MinGRU, cells.QRNN, cells.SRU, Two)
CASES = {
    "one_step": Case(1, 3, 5),
    "seven": Case(7, 3, 5),
    "ragged": Case(11, 4, 5, ragged=True),
    "backwards": Case(10, 4, 5, ragged=True, reverse=True),
    "from_zero": Case(9, 2, 5, reverse=True, state=False, bias=False),
    "a_row": Case(50, 1, 3),
}


def outcome(p, case, engine, **arguments):
    state = p.state if case.state else None
    given = {"lengths": case.lengths(), "reverse": case.reverse, "every_state": True, **arguments}
    with watch() as ran:
        result = recurrence(p.cell, p.x, p.weights, state, inputs=p.inputs, engine=engine, **given)
    assert ran == [engine]
    values = [result.y, *result.state, *result.states]
    generator = torch.Generator().manual_seed(2)
    upstream = [torch.randn(v.shape, generator=generator, dtype=torch.float64).to(v.dtype) for v in values]
    leaves = p.leaves() if case.state else [v for v in p.leaves() if all(v is not s for s in p.state)]
    return values + [g for g in torch.autograd.grad(values, leaves, upstream, allow_unused=True) if g is not None]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("cell", AFFINE, ids=lambda c: c.name)
def test_the_scan_is_the_reference(problem, cell, case):
    p = tame(problem, cell, CASES[case], torch.float64)
    for a, b in zip(outcome(p, CASES[case], "scan"), outcome(p, CASES[case], "reference"), strict=True):
        assert off(a, b) < 1e-13


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("cell", AFFINE, ids=lambda c: c.name)
def test_with_resets_layer_norm_and_gates_shown(problem, cell, reverse):
    case = Case(9, 4, 5, ragged=True, reverse=reverse)
    p = tame(problem, cell, case, torch.float64)
    gain = torch.rand(len(cell.fed) * 5, dtype=torch.float64)
    p = p._replace(weights=p.weights._replace(norm_x=gain, norm_r=()))
    resets = torch.rand(9, 4) < 0.3
    start = cell.State(*(torch.randn(4, 5, dtype=torch.float64) for _ in cell.state))
    options = {"resets": resets, "start": start}
    for a, b in zip(outcome(p, case, "scan", **options), outcome(p, case, "reference", **options), strict=True):
        assert off(a, b) < 1e-13
    both = [
        recurrence(cell, p.x, p.weights, p.state, inputs=p.inputs, lengths=case.lengths(), every_gate=True, engine=e)
        for e in ("scan", "reference")
    ]
    assert both[0].gates.keys() == both[1].gates.keys()
    for name, value in both[0].gates.items():
        assert off(value, both[1].gates[name]) < 1e-13


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("cell", AFFINE, ids=lambda c: c.name)
def test_pieces_with_carried_state_are_the_whole(problem, cell, reverse):
    p = tame(problem, cell, Case(23, 3, 5), torch.float64)

    def run(x, state, a, b):
        inputs = {n: v[a:b] for n, v in p.inputs.items()}
        return recurrence(cell, x[a:b], p.weights, state, inputs=inputs, reverse=reverse, engine="scan")

    whole = run(p.x, p.state, 0, 23)
    cuts = [(0, 6), (6, 7), (7, 23)]
    state, parts = p.state, {}
    for a, b in reversed(cuts) if reverse else cuts:
        piece = run(p.x, state, a, b)
        state, parts[a] = piece.state, piece.y
    assert off(torch.cat([parts[a] for a, _ in cuts]), whole.y) < 1e-14
    for one, all_of_it in zip(state, whole.state, strict=True):
        assert off(one, all_of_it) < 1e-14


def test_what_stands_beyond_the_end_is_never_seen(problem):
    case = Case(11, 4, 5, ragged=True)
    p = tame(problem, cells.QRNN, case, torch.float64)
    beyond = torch.arange(11)[:, None] >= case.lengths()
    spoilt = p.x.detach().masked_fill(beyond[..., None], torch.nan).requires_grad_()
    clean = outcome(p, case, "scan")
    q = p.replaced([spoilt if v is p.x else v for v in p.leaves()])
    for a, b in zip(outcome(q, case, "scan"), clean, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("cell", [cells.MinLSTM, cells.MinGRU, cells.QRNN, cells.SRU], ids=lambda c: c.name)
def test_error_does_not_grow_with_length(problem, cell):
    """In float32 against float64, in the last tenth of 12,000 steps and in the first; and no worse than one by one."""
    p = tame(problem, cell, Case(12_000, 2, 16, 8), torch.float32)
    weights = p.weights._replace(w=p.weights.w.detach(), b=p.weights.b.detach())
    wide = weights._replace(w=weights.w.double(), b=weights.b.double())
    with torch.no_grad():
        truth = recurrence(cell, p.x.double(), wide, [s.double() for s in p.state], engine="scan").y
        scan = recurrence(cell, p.x, weights, p.state, engine="scan").y
        loop = recurrence(cell, p.x, weights, p.state, engine="reference").y
        slow = recurrence(cell, p.x.double(), wide, [s.double() for s in p.state], engine="reference").y
    assert off(truth, slow) < 1e-13
    error, other = ((v.double() - slow).abs().amax((1, 2)) for v in (scan, loop))
    assert error[-1200:].max() < 2 * error[:1200].max()
    assert error.max() < 4e-6
    assert error.max() < 3 * other.max()


@pytest.mark.parametrize("cell", AFFINE, ids=lambda c: c.name)
def test_derivatives_of_every_kind(problem, cell):
    p = tame(problem, cell, Case(5, 2, 3, 2), torch.float64)

    def function(*leaves):
        q = p.replaced(list(leaves))
        result = recurrence(cell, q.x, q.weights, q.state, inputs=p.inputs, lengths=torch.tensor([5, 3]), engine="scan")
        return (result.y, *result.state)

    leaves = p.leaves()
    with watch() as ran:
        assert torch.autograd.gradcheck(function, leaves, fast_mode=True, check_forward_ad=True)
        assert torch.autograd.gradgradcheck(function, leaves, fast_mode=True)
    assert set(ran) == {"scan"}


def test_per_step_inputs_have_a_gradient(problem):
    p = tame(problem, Two, Case(17, 3, 5), torch.float64)
    found = []
    for engine in ("auto", "reference"):
        gap = p.inputs["gap"].clone().requires_grad_()
        result = recurrence(Two, p.x, p.weights, p.state, inputs={"gap": gap}, engine=engine)
        assert result.engine == ("scan" if engine == "auto" else engine)
        found.append(torch.autograd.grad(result.y.square().sum(), gap)[0])
    assert off(*found) < 1e-13


def test_under_transforms(problem):
    p = tame(problem, cells.MinGRU, Case(6, 2, 3, 2), torch.float64)

    def of(x, engine="scan"):
        return recurrence(p.cell, x, p.weights, p.state, engine=engine).y

    x = p.x.detach()
    several = torch.stack([x, 2 * x, -x])
    torch.testing.assert_close(torch.func.vmap(of)(several), torch.stack([of(v) for v in several]))
    forwards, backwards = torch.func.jacfwd(of)(x), torch.func.jacrev(of)(x)
    torch.testing.assert_close(forwards, backwards)
    found = torch.func.hessian(lambda x: of(x).square().sum())(x)
    torch.testing.assert_close(found, torch.func.hessian(lambda x: of(x, "reference").square().sum())(x))


def test_auto_takes_it_where_nothing_is_compiled():
    layer = nn.Recurrent(cells.MinLSTM, 3, 4, 2, bidirectional=True)
    x = torch.randn(40, 2, 3)
    with watch() as ran:
        layer(x)
        tangent = torch.func.jvp(lambda x: layer(x)[0], (x,), (x,))[1]
        half = layer.bfloat16()(x.bfloat16())[0]
    assert ran == ["cpp"] * 4 + ["scan"] * 8
    assert half.dtype == torch.bfloat16
    assert tangent.abs().sum() > 0


def test_a_batch_without_rows():
    layer = nn.Recurrent(cells.SRU, 3, 4, engine="scan")
    y, state = layer(torch.zeros(5, 0, 3), lengths=torch.zeros(0, dtype=torch.int64))
    assert y.shape == (5, 0, 4)
    assert state.c.shape == (1, 0, 4)


REFUSED = {
    "lstm": (cells.LSTM, {}, "lstm multiplies a state by a matrix, so its gates see the past"),
    "indrnn": (cells.IndRNN, {}, "indrnn's new state 'h' goes through 'maximum' of what it was"),
    "zoneout": (
        cells.MinLSTM,
        {"options": Options(zoneout={"h": 0.1})},
        "no zoneout, no recurrent dropout and no clipping",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_it_cannot_run_it_says(problem, kind):
    cell, arguments, words = REFUSED[kind]
    p = tame(problem, cell, Case(3, 2, 4), torch.float64)
    with pytest.raises(
        EngineError, match=rf"engine 'scan' was forced, but .*{words}.*Use engine='auto' or 'reference'"
    ):
        recurrence(cell, p.x, p.weights, engine="scan", noise=Noise(0, 0), **arguments)
