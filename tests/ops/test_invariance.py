"""What must not matter: where a sequence is split, what stands beyond its end, how its pieces are laid out."""

import itertools
from functools import partial

import pytest
import torch

from karussell import cells, ops
from karussell.cells import Cell

recurrence = partial(ops.recurrence, engine="reference")

F64 = torch.float64
EXACT = {"rtol": 0, "atol": 1e-13}


def named(cell):
    return cell.name


def gradients(p, *values):
    """Gradients of a fixed random sum of the values in all leaves."""
    generator = torch.Generator().manual_seed(9)
    total = sum((v * torch.randn(v.shape, generator=generator, dtype=v.dtype)).sum() for v in values)
    return torch.autograd.grad(total, p.leaves(), allow_unused=True, retain_graph=True)


def floats(state):
    return [v for n, v in state._asdict().items() if n != "t"]


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("cell", cells.CELLS, ids=named)
def test_two_halves_are_the_whole(problem, cell, reverse):
    p = problem(cell, steps=7)

    def run(x, state):
        return recurrence(cell, x, p.weights, state, reverse=reverse)

    whole = run(p.x, p.state)
    pieces = [p.x[4:], p.x[:4]] if reverse else [p.x[:4], p.x[4:]]
    first = run(pieces[0], p.state)
    second = run(pieces[1], first.state)
    y = torch.cat([second.y, first.y] if reverse else [first.y, second.y])
    torch.testing.assert_close(y, whole.y, **EXACT)
    for a, b in zip(second.state, whole.state, strict=True):
        torch.testing.assert_close(a, b, **EXACT)
    split = gradients(p, y, *floats(second.state))
    for a, b in zip(split, gradients(p, whole.y, *floats(whole.state)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("cell", cells.CELLS, ids=named)
def test_what_stands_beyond_the_end_does_not_matter(problem, cell, reverse):
    p = problem(cell, steps=6, batch=4)
    lengths = torch.tensor([6, 3, 1, 0])
    beyond = torch.arange(6)[:, None] >= lengths
    x = p.x.detach().clone()
    x[beyond] = float("nan")
    # what would start anew beyond the end must not either
    resets = beyond.clone()
    x.requires_grad_(True)
    q = p.replaced([x, *p.leaves()[1:]])

    def run(x, resets):
        return recurrence(cell, x, p.weights, p.state, lengths=lengths, reverse=reverse, resets=resets)

    for given in (None, resets):
        clean, dirty = run(p.x, None), run(x, given)
        assert (dirty.y[beyond] == 0).all()
        torch.testing.assert_close(dirty.y, clean.y, **EXACT)
        for a, b in zip(dirty.state, clean.state, strict=True):
            torch.testing.assert_close(a, b, **EXACT)
        found = gradients(q, dirty.y, *floats(dirty.state))
        expected = gradients(p, clean.y, *floats(clean.state))
        assert (found[0][beyond] == 0).all()
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, **EXACT)


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
def test_per_step_inputs_beyond_the_end_do_not_matter(problem, reverse):
    def decay(a, h, gap):
        return torch.tanh(a) / gap + h * torch.log(gap)

    p = problem(Cell("decay", ("h",), ("a",), decay, inputs=("gap",)))
    lengths = torch.tensor([5, 2, 0])
    found = []
    for filler in (0.5, float("nan"), 0.0):
        gap = p.inputs["gap"].clone()
        gap[torch.arange(5)[:, None] >= lengths] = filler
        gap.requires_grad_()
        run = recurrence(p.cell, p.x, p.weights, p.state, inputs={"gap": gap}, lengths=lengths, reverse=reverse)
        found.append([run.y, *run.state, *gradients(p, run.y, *run.state)])
        assert (torch.autograd.grad(run.y.sum(), gap)[0][2:, 1:] == 0).all()
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            torch.testing.assert_close(a, b, **EXACT)


@pytest.mark.parametrize("cell", cells.CELLS, ids=named)
def test_every_row_is_as_if_alone_and_cut(problem, cell):
    p = problem(cell, steps=5, batch=3, grad=False)
    lengths = [5, 2, 3]
    for reverse in (False, True):
        together = recurrence(cell, p.x, p.weights, p.state, lengths=torch.tensor(lengths), reverse=reverse)
        for row, n in enumerate(lengths):
            state = tuple(v[row : row + 1] for v in p.state)
            alone = recurrence(cell, p.x[:n, row : row + 1], p.weights, state, reverse=reverse)
            torch.testing.assert_close(together.y[:n, row], alone.y[:, 0], **EXACT)
            for a, b in zip(together.state, alone.state, strict=True):
                torch.testing.assert_close(a[row], b[0], **EXACT)


@pytest.mark.parametrize("cell", cells.CELLS, ids=named)
def test_backwards_is_forwards_over_rows_flipped_within_their_length(problem, cell):
    p = problem(cell, steps=5, batch=3)
    lengths = torch.tensor([5, 2, 4])

    def flip(x):
        rows = [torch.cat([x[:n, b].flip(0), x[n:, b]]) for b, n in enumerate(lengths.tolist())]
        return torch.stack(rows, 1)

    back = recurrence(cell, p.x, p.weights, p.state, lengths=lengths, reverse=True)
    forth = recurrence(cell, flip(p.x), p.weights, p.state, lengths=lengths)
    torch.testing.assert_close(back.y, flip(forth.y), **EXACT)
    for a, b in zip(back.state, forth.state, strict=True):
        torch.testing.assert_close(a, b, **EXACT)


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("cell", cells.CELLS, ids=named)
def test_a_reset_cuts_a_row_into_pieces_that_run_apart(problem, cell, reverse):
    p = problem(cell, steps=7, batch=3)
    cuts = {0: [3], 1: [2, 5], 2: []}
    lengths = [7, 6, 4]
    resets = torch.zeros(7, 3, dtype=torch.bool)
    for row, at in cuts.items():
        resets[at, row] = True
    start = problem(cell, seed=5, grad=False).state
    whole = recurrence(
        cell,
        p.x,
        p.weights,
        p.state,
        lengths=torch.tensor(lengths),
        resets=resets,
        start=start,
        reverse=reverse,
    )
    y = torch.zeros_like(whole.y)
    for row, at in cuts.items():
        edges = [0, *at, lengths[row]]
        pieces = list(itertools.pairwise(edges))
        for k, (a, b) in enumerate(reversed(pieces) if reverse else pieces):
            state = tuple(v[row : row + 1] for v in (start if k else p.state))
            part = recurrence(cell, p.x[a:b, row : row + 1], p.weights, state, reverse=reverse)
            y[a:b, row] = part.y[:, 0]
        for v, w in zip(whole.state, part.state, strict=True):
            torch.testing.assert_close(v[row], w[0], **EXACT)
    torch.testing.assert_close(whole.y, y, **EXACT)


def test_a_reset_before_the_first_step_replaces_the_given_state(problem):
    p = problem(cells.LSTM, grad=False)
    first = torch.zeros(5, 3, dtype=torch.bool)
    first[0] = True
    anew = recurrence(cells.LSTM, p.x, p.weights, p.state, resets=first)
    zero = recurrence(cells.LSTM, p.x, p.weights)
    torch.testing.assert_close(anew.y, zero.y, **EXACT)


@pytest.mark.parametrize("cell", cells.CELLS, ids=named)
@pytest.mark.parametrize("batch", [1, 0])
def test_one_step_and_no_rows(problem, cell, batch):
    p = problem(cell, steps=1, batch=batch)
    result = recurrence(cell, p.x, p.weights, p.state, lengths=torch.ones(batch, dtype=torch.int64))
    torch.testing.assert_close(result.y[0], result.state[0])
    gradients(p, result.y, *floats(result.state))


def test_a_row_without_steps_keeps_its_state(problem):
    p = problem(cells.LSTM)
    lengths = torch.tensor([0, 5, 0])
    for engine in ("reference", "vendor"):
        result = ops.recurrence(cells.LSTM, p.x, p.weights, p.state, lengths=lengths, engine=engine)
        for kept, given in zip(result.state, p.state, strict=True):
            torch.testing.assert_close(kept[[0, 2]], given[[0, 2]], **EXACT)
