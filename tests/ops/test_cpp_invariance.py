"""What must not matter to the compiled engine: where a sequence is cut, what lies beyond its end, how many threads."""

import itertools

import pytest
import torch

from karussell import cells
from karussell.ops import recurrence
from karussell.ops.recurrence import invoke
from karussell.ops.threads import most
from user_cells import EVERY, Case, fitting, named, off, tame

TOLERANCE = {torch.float32: 5e-6, torch.float64: 1e-13}


@pytest.fixture
def threads():
    """Sets torch's number of threads, and puts it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def run(p, x=None, state=None, inputs=None, **arguments):
    x, state, inputs = p.x if x is None else x, p.state if state is None else state, inputs or p.inputs
    return recurrence(p.cell, x, p.weights, state, inputs=inputs, engine="cpp", **arguments)


def everything(p, result):
    """Values, and gradients through the output and the final state."""
    values = [result.y, *(v for v in result.state if v.requires_grad)]
    generator = torch.Generator().manual_seed(5)
    upstream = [torch.randn(v.shape, generator=generator, dtype=v.dtype) for v in values]
    grads = torch.autograd.grad(values, p.leaves(), upstream, allow_unused=True)
    zeroed = (torch.zeros_like(v) if g is None else g for v, g in zip(p.leaves(), grads, strict=True))
    return [result.y, *result.state, *zeroed]


def same(found, expected, dtype):
    for a, b in zip(found, expected, strict=True):
        # written so that a nan fails
        assert off(a, b) <= TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda d: str(d)[6:])
@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_pieces_are_the_whole(problem, cell, reverse, dtype):
    p = tame(problem, cell, Case(9, 3, 12), dtype)
    whole = everything(p, run(p, reverse=reverse))
    for cuts in ([4], [1, 2, 8], list(range(1, 9))):
        edges = [0, *cuts, 9]
        spans = [slice(a, b) for a, b in itertools.pairwise(edges)]
        state, outputs = p.state, {}
        for span in reversed(spans) if reverse else spans:
            given = {n: v[span] for n, v in p.inputs.items()}
            part = run(p, p.x[span], state, given, reverse=reverse)
            outputs[span.start], state = part.y, part.state
        joined = part._replace(y=torch.cat([outputs[k] for k in sorted(outputs)]))
        same(everything(p, joined), whole, dtype)


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_what_lies_beyond_the_end_does_not_matter(problem, cell, reverse):
    p = tame(problem, cell, Case(6, 5, 12), torch.float64)
    lengths = torch.tensor([6, 3, 0, 5, 1])
    beyond = torch.arange(6)[:, None] >= lengths
    clean = run(p, lengths=lengths, reverse=reverse)
    for garbage in (float("nan"), float("inf"), 1e300):
        x = p.x.detach().clone()
        x[beyond] = garbage
        q = p.replaced([x.requires_grad_(), *p.leaves()[1:]])
        q = q._replace(inputs={n: v.clone() for n, v in p.inputs.items()})
        for value in q.inputs.values():
            value[beyond] = garbage
        dirty = run(q, lengths=lengths, reverse=reverse)
        assert (dirty.y[beyond] == 0).all()
        found, expected = everything(q, dirty), everything(p, run(p, lengths=lengths, reverse=reverse))
        for a, b in zip(found, expected, strict=True):
            assert torch.equal(a, b)
        grad = torch.autograd.grad(run(q, lengths=lengths, reverse=reverse).y.sum(), q.x)[0]
        assert (grad[beyond] == 0).all()
    for kept, given in zip(clean.state, p.state, strict=True):
        assert torch.equal(kept[2], given[2])


@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_every_row_is_as_if_alone_and_cut(problem, cell):
    p = tame(problem, cell, Case(6, 4, 12), torch.float64)
    lengths = [6, 2, 0, 5]
    for reverse in (False, True):
        together = run(p, lengths=torch.tensor(lengths), reverse=reverse)
        for row, n in enumerate(lengths):
            if not n:
                continue
            state = tuple(v[row : row + 1] for v in p.state)
            given = {name: v[:n, row : row + 1] for name, v in p.inputs.items()}
            alone = run(p, p.x[:n, row : row + 1], state, given, reverse=reverse)
            same([together.y[:n, row]], [alone.y[:, 0]], torch.float64)
            same([v[row] for v in together.state], [v[0] for v in alone.state], torch.float64)


@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_no_rows(problem, cell):
    p = tame(problem, cell, Case(3, 0, 4), torch.float32)
    result = run(p)
    assert result.y.shape == (3, 0, fitting(cell, 4))
    grads = torch.autograd.grad(result.y.sum(), p.leaves(), allow_unused=True)
    assert all(g is None or (g == 0).all() for g in grads)


@pytest.mark.parametrize("shape", [(17, 30, 20), (5, 23, 68), (40, 2, 64)], ids=["rows", "units", "few"])
@pytest.mark.parametrize("cell", [cells.LSTM, cells.FGR, cells.RecurrentHighway, cells.PeepholeLSTM], ids=named)
def test_the_same_call_gives_the_same_bits(problem, threads, cell, shape):
    p = tame(problem, cell, Case(*shape), torch.float32)
    lengths = Case(*shape, ragged=True).lengths()
    for count in (1, 2, 3):
        threads(count)
        first = everything(p, run(p, lengths=lengths))
        for _ in range(5):
            again = everything(p, run(p, lengths=lengths))
            assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_the_number_of_threads_changes_sums_at_most(problem, threads, cell):
    for shape in ((7, 50, 12), (3, 23, 68)):
        p = tame(problem, cell, Case(*shape), torch.float64)
        threads(1)
        one = everything(p, run(p))
        for count in (2, 3, 4):
            threads(count)
            same(everything(p, run(p)), one, torch.float64)


def test_never_more_threads_than_torch_has(problem, threads):
    for count in (1, 2, 3, 4):
        threads(count)
        for batch in (1, 5, 30, 100):
            for hidden in (5, 64, 512):
                for arrivals in (1, 4):
                    assert 1 <= invoke.threads(batch, hidden, arrivals, most())[0] <= count


@pytest.mark.parametrize("cell", [cells.LSTM, cells.RNN], ids=named)
def test_a_gradient_that_is_not_finite_comes_out_as_such(problem, cell):
    p = tame(problem, cell, Case(4, 3, 8), torch.float32)
    y = run(p).y
    for bad in (float("nan"), float("inf")):
        upstream = torch.zeros_like(y)
        upstream[2, 1, 3] = bad
        grads = torch.autograd.grad(y, p.leaves(), upstream, retain_graph=True)
        assert not torch.isfinite(grads[0][2, 1]).any()
        assert torch.isfinite(grads[0][:, 0]).all()


def test_a_row_that_blows_up_leaves_the_others_alone(problem):
    p = tame(problem, cells.LSTM, Case(5, 4, 8), torch.float32)
    expected = run(p).y
    with torch.no_grad():
        p.x[1, 2] = float("nan")
    found = run(p).y
    assert torch.isnan(found[1:, 2]).all()
    rest = [0, 1, 3]
    assert torch.equal(found[:, rest], expected[:, rest])
    assert torch.equal(found[0], expected[0])
