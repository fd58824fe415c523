"""Derivatives of the compiled engine: finite differences, second order, and everything autograd may ask of it."""

import pytest
import torch

from karussell import cells
from karussell.ops import recurrence, watch
from user_cells import EVERY, Case, Idle, fitting, named, tame

F64 = torch.float64
EXACT = {"rtol": 0, "atol": 1e-13}


def small(problem, cell, **arguments):
    return tame(problem, cell, Case(3, 2, 2, 2, **arguments), F64)


def run(p, engine="cpp", **arguments):
    return recurrence(p.cell, p.x, p.weights, p.state, inputs=p.inputs, engine=engine, **arguments)


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_first_and_second_derivative(problem, cell, reverse):
    p = small(problem, cell)
    if cell is Idle:
        # finite differences of a vector that nothing reads would fail for want of a graph
        p.weights.units["never"].requires_grad_(False)

    def function(*leaves):
        result = run(p.replaced(list(leaves)), lengths=torch.tensor([3, 2]), reverse=reverse)
        return (result.y, *(v for n, v in result.state._asdict().items() if n != "t"))

    with watch() as ran:
        assert torch.autograd.gradcheck(function, p.leaves(), fast_mode=True, atol=1e-7)
    assert set(ran) == {"cpp"}
    with watch() as ran:
        assert torch.autograd.gradgradcheck(function, p.leaves(), fast_mode=True, atol=1e-6)
    assert set(ran) == {"cpp", "reference"}


@pytest.mark.parametrize("cell", [cells.LSTM, cells.GRUResetBefore, cells.FGR, cells.LSTM1997], ids=named)
def test_every_entry_of_the_jacobian(problem, cell):
    p = small(problem, cell)

    def function(*leaves):
        result = run(p.replaced(list(leaves)), lengths=torch.tensor([2, 3]), every_state=True)
        return (result.y, *result.states, *result.state)

    assert torch.autograd.gradcheck(function, p.leaves(), fast_mode=False, atol=1e-7)


@pytest.mark.parametrize("cell", [cells.LSTM, cells.GRU, cells.PeepholeLSTM], ids=named)
def test_second_derivatives_are_those_of_the_reference(problem, cell):
    p = small(problem, cell)
    found = []
    for engine in ("cpp", "reference"):
        result = run(p, engine, every_state=True)
        total = result.y.square().sum() + sum(v.sin().sum() for v in (*result.state, *result.states))
        first = torch.autograd.grad(total, p.leaves(), create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), p.leaves())
        found.append([*first, *second])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_a_retained_graph_gives_the_same_gradients_again(problem, cell):
    p = small(problem, cell)
    y = run(p, lengths=torch.tensor([2, 3])).y
    upstream = torch.randn_like(y)
    once, twice, thrice = (
        torch.autograd.grad(y, p.leaves(), upstream, retain_graph=True, allow_unused=True) for _ in range(3)
    )
    for a, b, c in zip(once, twice, thrice, strict=True):
        assert (a is None) == (b is None) == (c is None)
        assert a is None or (torch.equal(a, b) and torch.equal(a, c))


def test_a_freed_graph_is_refused(problem):
    p = small(problem, cells.LSTM)
    y = run(p).y.sum()
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_an_input_changed_in_place_is_found_out(problem):
    p = small(problem, cells.LSTM)
    y = run(p).y
    with torch.no_grad():
        p.weights.r[0].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    p = small(problem, cells.RNN)
    y = run(p).y
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("cell", [cells.LSTM, cells.GRU, cells.FGR], ids=named)
def test_only_one_gradient_wanted(problem, cell):
    p = small(problem, cell)
    leaves = p.leaves()
    whole = torch.autograd.grad(run(p).y.sum(), leaves, allow_unused=True)
    for wanted, expected in zip(leaves, whole, strict=True):
        for leaf in leaves:
            leaf.requires_grad_(leaf is wanted)
        found = torch.autograd.grad(run(p).y.sum(), wanted, allow_unused=True)[0]
        assert torch.equal(found, expected)


def test_tensors_that_do_not_lie_in_one_piece(problem):
    p = tame(problem, cells.LSTM, Case(5, 4, 6), F64)

    def scattered(value):
        wide = torch.full((*value.shape[:-1], 2 * value.shape[-1]), float("nan"), dtype=value.dtype)
        wide[..., ::2] = value.detach()
        return wide[..., ::2].requires_grad_()

    q = p.replaced([scattered(v) if v.dim() > 1 else v for v in p.leaves()])
    q = q._replace(x=p.x.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_())
    assert not q.x.is_contiguous()
    assert not q.weights.r[0].is_contiguous()
    for a, b in zip(
        torch.autograd.grad(run(p).y.sum(), p.leaves()), torch.autograd.grad(run(q).y.sum(), q.leaves()), strict=True
    ):
        torch.testing.assert_close(a, b, **EXACT)
    # the gradient of a sum is one number expanded; of a slice, mostly zeros; of a transpose, with strides
    y = run(p).y
    expected = torch.autograd.grad(y, p.x, torch.ones_like(y), retain_graph=True)[0]
    torch.testing.assert_close(torch.autograd.grad(y.transpose(0, 2).sum(), p.x)[0], expected, **EXACT)


def test_one_tensor_in_two_places(problem):
    p = tame(problem, cells.RNN, Case(4, 3, 6, 6), F64)
    found = []
    for engine in ("cpp", "reference"):
        weights = p.weights._replace(r=(p.weights.w,))
        y = recurrence(cells.RNN, p.x, weights, (p.x[0],), engine=engine).y
        found.append(torch.autograd.grad(y.square().sum(), (p.x, weights.w)))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_without_gradients_nothing_is_kept(problem):
    p = tame(problem, cells.LSTM, Case(5, 3, 6), F64)
    with torch.no_grad():
        still = run(p)
    with torch.inference_mode():
        inferred = run(p)
    assert not still.y.requires_grad
    kept = run(p)
    assert kept.y.requires_grad
    for a, b, c in zip((kept.y, *kept.state), (still.y, *still.state), (inferred.y, *inferred.state), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


def test_long_float32_sequences_lose_no_more_than_the_reference_does(problem):
    """Gradients of weights and biases are sums over all steps and rows; how they are summed must not show."""
    p = tame(problem, cells.GRU, Case(1500, 4, 8), torch.float32)
    grads = {}
    for engine, q in (
        ("cpp", p),
        ("reference", p),
        ("truth", p.replaced([v.detach().double().requires_grad_() for v in p.leaves()])),
    ):
        y = run(q, "reference" if engine == "truth" else engine).y
        upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(3)).to(y.dtype)
        grads[engine] = torch.autograd.grad(y, q.leaves(), upstream)
    for ours, theirs, truth in zip(*grads.values(), strict=True):
        scale = truth.abs().max().item()
        error = (ours - truth).abs().max().item() / scale
        assert error < 1e-5
        assert error < 4 * (theirs - truth).abs().max().item() / scale + 1e-6


@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_memory_is_linear_in_what_is_kept(problem, cell):
    """The engine keeps what its program says, nothing a step more."""
    from karussell.program import program

    p = tame(problem, cell, Case(7, 3, 8), F64)
    made, hidden = program(cell), fitting(cell, 8)
    kept: dict[int, int] = {}

    def pack(tensor):
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = run(p).y
    per_step = sum(n for n in kept.values() if n == 7 * 3 * hidden) // (7 * 3 * hidden)
    assert per_step <= len(made.history) + 1
    assert y.grad_fn is not None
