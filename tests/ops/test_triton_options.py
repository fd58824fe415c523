"""Options on the Triton engine: resets, zoneout, recurrent dropout, layer norm, alone and mixed; the same masks."""

import random

import pytest
import torch
from triton_cases import DEVICE, NOISE, SCHEDULES, compare, moved, needed

from karussell import cells
from karussell.ops import Noise, Options, recurrence
from karussell.ops.noise import uniform
from karussell.ops.recurrence.triton.schedule import forced
from random_problems import make_problem
from user_cells import EVERY, Case, named, tame

pytestmark = [needed, pytest.mark.filterwarnings("ignore:invalid value encountered")]
CASE = Case(3, 3, 6, inputs=5, ragged=True)
NAMES = list(SCHEDULES)


@pytest.mark.parametrize("schedule", ["resident", "stepwise", "spread"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
def test_resets_zoneout_and_dropout_together(schedule, reverse):
    options = Options(True, {"h": 0.3, "c": 0.2}, 0.3, "candidate" if reverse else "seen")
    compare(cells.LSTM, CASE._replace(reverse=reverse), schedule, options=options, resets=True, start=True)


@pytest.mark.parametrize("kind", ["evaluation", "seen in two stages", "candidate in a stage", "norm", "norm in stages"])
def test_one_alone(kind):
    if kind == "evaluation":
        compare(cells.LSTM1997, CASE, "resident", options=Options(False, {"h": 0.3, "s": 0.1, "y_in": 0.5}))
    elif kind == "seen in two stages":
        compare(cells.GRUResetBefore, CASE, "spread", options=Options(True, {}, 0.3))
    elif kind == "candidate in a stage":
        compare(cells.GRUResetBefore, CASE, "stepwise", options=Options(True, {}, 0.3, "candidate"))
    elif kind == "norm":
        compare(cells.GRU, CASE, "resident", norm=True)
        compare(cells.LSTM, CASE._replace(steps=2), "resident", torch.bfloat16, norm=True)
    else:
        compare(cells.FGR, CASE._replace(steps=2), "stepwise", norm=True)


@pytest.mark.parametrize("schedule", ["resident", "stepwise"])
def test_limits_of_states(schedule):
    clip = {"c": 0.3, "h": 0.1}
    compare(cells.LSTM, CASE, schedule, options=Options(True, {"c": 0.3}, clip=clip), resets=True)
    compare(cells.LSTM, CASE._replace(steps=2, reverse=True), schedule, options=Options(clip=clip))


@pytest.mark.parametrize("number", range(0, len(EVERY), 4), ids=lambda k: named(EVERY[k]))
def test_mixed(number):
    cell, chance = EVERY[number], random.Random(named(EVERY[number]))
    sees = any(s.sees for s in cell.stages)
    zone = {n: 0.2 + 0.1 * k for k, n in enumerate(cell.state)} if chance.random() < 0.7 else {}
    options = Options(chance.random() < 0.8, zone, 0.3 if sees else 0.0)
    case = CASE._replace(steps=2, reverse=chance.random() < 0.5)
    compare(cell, case, NAMES[number % len(NAMES)], options=options, resets=chance.random() < 0.7)


def test_masks_are_the_same_to_the_bit():
    """A unit that is zoned out at rate one keeps its state; so the mask can be read off, and it is the reference's."""
    rate, noise = 0.37, Noise(-3, 2**40 + 1, 7)
    p = moved(tame(make_problem, cells.MinGRU, Case(3, 3, 37), torch.float32))
    for name in ("resident", "stepwise"):
        with forced(SCHEDULES[name]), torch.no_grad():
            options = Options(True, {"h": rate})
            y = recurrence(p.cell, p.x, p.weights, p.state, options=options, noise=noise, engine="triton").y
        kept = torch.cat([p.state.h[None], y[:-1]]) == y
        drawn = torch.stack([uniform(noise, 200, t, 3, 37) < rate for t in range(3)])
        assert torch.equal(kept.cpu(), drawn)


def test_nothing_beyond_the_end_is_read():
    p = moved(tame(make_problem, cells.LSTM, CASE, torch.float32))
    lengths, found = CASE.lengths().to(DEVICE), []
    for value in (0.0, float("nan")):
        with torch.no_grad():
            for b, n in enumerate(lengths):
                p.x[int(n) :, b] = value
        with forced(SCHEDULES["resident"]):
            y = recurrence(p.cell, p.x, p.weights, p.state, lengths=lengths, noise=NOISE, engine="triton").y
        found.append([y, *torch.autograd.grad(y.square().sum(), p.leaves())])
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)
