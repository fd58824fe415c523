"""Folders in the hub's conventions."""

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from karussell.errors import InputError
from karussell.tasks import Transcriber
from random_models import RATE, random_transcriber, recording

RESULT = {
    "seconds": 1.0,
    "official": {"ler": 0.0125, "low": 0.01, "high": 0.02, "utterances": 30},
    "unseen_speaker": {"speaker": "theo", "ler": 0.2, "low": 0.1, "high": 0.3, "utterances": 9},
}


def test_a_saved_model_is_the_same_one(tmp_path: Path) -> None:
    model = random_transcriber()
    model.save_pretrained(tmp_path / "mine")
    assert {"config.json", "model.safetensors", "README.md"} <= {path.name for path in (tmp_path / "mine").iterdir()}
    back = Transcriber.from_pretrained(tmp_path / "mine")
    for name, value in model.network.state_dict().items():
        assert torch.equal(back.network.state_dict()[name], value)
    samples = recording(1.0)
    assert back.predict(samples, RATE) == model.predict(samples, RATE)


def test_the_card_shows_what_the_run_measured(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "result.json").write_text(json.dumps(RESULT))
    random_transcriber().save_pretrained(tmp_path / "mine", run=run)
    card = (tmp_path / "mine" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: karussell\n")
    assert "| official | 1.25 % | 1.00 to 2.00 % | 30 |" in card
    assert "| unseen speaker theo | 20.00 % | 10.00 to 30.00 % | 9 |" in card


def test_a_card_without_a_run_says_so(tmp_path: Path) -> None:
    random_transcriber().save_pretrained(tmp_path / "mine")
    assert "Nothing was measured" in (tmp_path / "mine" / "README.md").read_text()


def test_a_name_on_a_hub_is_not_fetched() -> None:
    with pytest.raises(InputError, match="huggingface-cli download someone/something"):
        Transcriber.from_pretrained("someone/something")


def test_the_task_streams_what_it_predicts() -> None:
    model = random_transcriber(causal=True)
    samples = recording(2.0, seed=2)
    stream = model.stream()
    labels = [*stream.push(samples[:7000]), *stream.push(samples[7000:]), *stream.finish()]
    assert tuple(label.token for label in labels) == model.predict(samples, RATE).tokens
