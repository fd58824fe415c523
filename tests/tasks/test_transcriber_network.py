"""The network: shapes, lengths, and what lies beyond them."""

import pytest
import torch

from karussell.errors import InputError
from karussell.tasks import Network, NetworkConfig

SMALL = NetworkConfig(channels=(3, 4), hidden=6, layers=2, context=3)


def test_lengths_are_subsampled_upwards() -> None:
    network = Network(10, 5, SMALL).eval()
    y, lengths = network(torch.randn(13, 3, 10), torch.tensor([13, 9, 1]))
    assert y.shape == (4, 3, 5)
    assert lengths.tolist() == [4, 3, 1]
    torch.testing.assert_close(y.exp().sum(-1), torch.ones(4, 3))
    assert SMALL.subsampling == 4


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        NetworkConfig(channels=(), time_strides=(), band_strides=(), hidden=5, context=0),
        NetworkConfig(channels=(4,), time_strides=(3,), band_strides=(2,), hidden=5, bidirectional=False),
    ],
)
def test_what_lies_beyond_a_length_changes_nothing(config: NetworkConfig) -> None:
    network = Network(7, 4, config)
    # statistics that are not zero and one, so that silence does not stay silent
    network(torch.randn(20, 4, 7) + 1, torch.tensor([20] * 4))
    network.eval()
    x = torch.randn(9, 1, 7)
    alone, lengths = network(x, torch.tensor([9]))
    padded = torch.cat([x, torch.full((8, 1, 7), 1e3)])
    beside, _ = network(torch.cat([padded, torch.randn(17, 1, 7)], 1), torch.tensor([9, 17]))
    torch.testing.assert_close(beside[: lengths[0], :1], alone, rtol=1e-5, atol=1e-6)


def test_gradients_reach_every_weight() -> None:
    network = Network(10, 5, SMALL)
    y, _ = network(torch.randn(16, 2, 10), torch.tensor([16, 12]))
    y[..., 1].sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in network.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": (4,)}, "1 channels, 2 time_strides and 2 band_strides"),
        ({"time_strides": (0, 2)}, "network.time_strides"),
        ({"hidden": 0}, "hidden is 0"),
        ({"dropout": 1.0}, "network.dropout is 1.0"),
        ({"context": -1}, "network.context is -1"),
    ],
)
def test_a_shape_that_cannot_be_is_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        NetworkConfig(**settings)
