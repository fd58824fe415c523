"""Dropout: how often, how much, what follows the seed, and that evaluation changes nothing."""

import pytest
import torch

from karussell.nn.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5])
def test_drops_as_often_as_it_says_and_keeps_the_mean(p: float) -> None:
    torch.manual_seed(0)
    y = Dropout(p)(torch.ones(1001, 997))
    dropped = (y == 0).float().mean().item()
    assert abs(dropped - p) < 5 * (p * (1 - p) / y.numel()) ** 0.5 + 1e-5
    assert torch.allclose(y[y != 0], torch.tensor(1 / (1 - p)), rtol=1e-4)


def test_follows_the_seed_and_the_mask_is_that_of_the_gradient() -> None:
    drop, x = Dropout(0.3), torch.randn(5, 7, requires_grad=True)
    torch.manual_seed(1)
    y = drop(x)
    torch.manual_seed(1)
    assert torch.equal(y, drop(x))
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(grad == 0, y == 0)


def test_neighbours_and_repeated_calls_are_independent() -> None:
    torch.manual_seed(2)
    drop, ones = Dropout(0.5), torch.ones(200_000)
    first, second = drop(ones) - 1, drop(ones) - 1
    for shift in (1, 2, 3, 4):
        assert abs((first[shift:] * first[:-shift]).mean().item()) < 0.015
    assert abs((first * second).mean().item()) < 0.015


def test_evaluation_no_units_and_a_rate_of_zero_change_nothing() -> None:
    x = torch.randn(3, 4)
    assert Dropout(0.4).eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert Dropout(0.4)(x[:0]).shape == (0, 4)
    assert Dropout(0.5)(x.double()).dtype == torch.float64


def test_refuses_what_is_no_probability() -> None:
    with pytest.raises(ValueError, match="p is 1"):
        Dropout(1.0)
