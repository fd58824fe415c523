"""The counter-based noise: uniform, independent, and a function of its key alone."""

import pytest
import torch

from karussell.ops.noise import Noise, uniform


def test_numbers_are_uniform():
    u = uniform(Noise(0, 0), 0, torch.arange(50), 20, 100)
    assert u.shape == (50, 20, 100)
    assert u.dtype == torch.float32
    assert u.min() >= 0
    assert u.max() < 1
    counts = torch.histc(u, 50, 0, 1)
    expected = u.numel() / 50
    # 49 degrees of freedom: 94 is passed once in 10,000 times
    assert ((counts - expected) ** 2 / expected).sum() < 94


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_neighbours_are_independent(axis):
    u = uniform(Noise(3, 1), 0, torch.arange(40), 30, 60).double() - 0.5
    a, b = u.narrow(axis, 0, u.shape[axis] - 1), u.narrow(axis, 1, u.shape[axis] - 1)
    correlation = (a * b).mean() / (1 / 12)
    assert abs(correlation) < 5 / a.numel() ** 0.5


KEYS = [Noise(0, 0), Noise(1, 0), Noise(0, 1), Noise(0, 0, 1), Noise(-1, 0), Noise(2**63, 5), Noise(1, 1)]


def test_every_part_of_the_key_counts():
    values = [uniform(k, purpose, torch.arange(8), 4, 50).double() - 0.5 for k in KEYS for purpose in (0, 1, 200)]
    flat = torch.stack(values).flatten(1)
    correlation = flat @ flat.T / flat.shape[1] * 12
    correlation.fill_diagonal_(0)
    assert correlation.abs().max() < 5.5 / flat.shape[1] ** 0.5


def test_a_number_depends_on_its_place_alone():
    key = Noise(5, 6, 7)
    whole = uniform(key, 2, torch.arange(10), 6, 9)
    torch.testing.assert_close(uniform(key, 2, torch.tensor([7, 3]), 2, 4), whole[[7, 3], :2, :4], rtol=0, atol=0)
    torch.testing.assert_close(uniform(key, 2, 4, 6, 9), whole[4], rtol=0, atol=0)


def test_numbers_do_not_change_between_versions():
    # a resumed run must draw what the interrupted one would have drawn
    found = uniform(Noise(1, 2, 3), 4, 5, 2, 3)
    expected = torch.tensor(FIXED) * 2.0**-24
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


FIXED = [[12672705, 1164354, 16278242], [3006935, 7821691, 1426490]]
