"""A configuration goes to JSON and back, and a wrong one is named."""

import json
from dataclasses import replace

import pytest

from karussell.errors import InputError
from karussell.tasks import NetworkConfig, TranscriberConfig
from karussell.tasks.config import from_json, to_json
from karussell.tasks.digits import RECIPE


@pytest.mark.parametrize("config", [TranscriberConfig(), RECIPE, TranscriberConfig(prior_frames=None, unit="word")])
def test_there_and_back(config: TranscriberConfig) -> None:
    assert from_json(TranscriberConfig, json.loads(json.dumps(to_json(config)))) == config


def test_lists_become_tuples() -> None:
    config = replace(TranscriberConfig(), network=NetworkConfig(channels=[8, 8]))
    assert config.network.channels == (8, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": {"epoks": 3}}, "there is no setting train.epoks"),
        ({"train": {"epochs": 2.5}}, "train.epochs is 2.5"),
        ({"train": {"epochs": True}}, "train.epochs is True"),
        ({"network": {"channels": ["a"]}}, "network.channels is"),
        ({"unit": "syllable"}, "unit is 'syllable'"),
        ({"network": 3}, "network is 3; it must be an object"),
    ],
)
def test_a_wrong_setting_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_json(TranscriberConfig, change)
