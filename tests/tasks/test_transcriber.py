"""The transcriber: it learns, it survives the disk, it says where and when, and what is wrong with its folder."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from tones import CONFIG, RATE, sound, tones

from karussell.data.audio import write_audio
from karussell.data.manifest import Utterance
from karussell.errors import InputError
from karussell.tasks import Transcriber


def test_learns_the_tones(model: Transcriber) -> None:
    result = model.evaluate(tones(30, 3))
    assert result["ler"] < 0.05
    assert result["low"] <= result["ler"] <= result["high"]
    assert result["utterances"] == 30


def test_says_what_was_said_when_and_how_surely(model: Transcriber) -> None:
    silence, tone = np.zeros(RATE // 2, np.float32), sound("b", np.random.default_rng(5))
    found = model.predict(np.concatenate([silence, tone, silence]), RATE)
    assert found.text == "b"
    assert 0.5 < found.starts[0] < found.ends[0] < 1.2
    assert 0.5 < found.confidences[0] <= 1


def test_a_long_recording_is_cut_and_its_times_go_on(model: Transcriber) -> None:
    chance = np.random.default_rng(6)
    texts = ["abc", "cab", "bbc", "aab", "cba"]
    parts = [sound(text, chance) for text in texts]
    starts = np.cumsum([0, *(len(part) for part in parts)]) / RATE
    model.config = replace(model.config, longest=2.5)
    found = model.predict(np.concatenate(parts), RATE)
    assert found.text == "".join(texts)
    assert list(found.starts) == sorted(found.starts)
    for k, time in enumerate(found.starts):
        assert starts[k // 3] < time < starts[k // 3 + 1]


def test_files_of_another_rate_are_resampled_and_it_is_said(model: Transcriber, tmp_path: Path) -> None:
    said: list[str] = []
    samples = sound("cab", np.random.default_rng(7))
    write_audio(tmp_path / "same.wav", samples, RATE)
    write_audio(tmp_path / "other.wav", np.repeat(samples, 2), 2 * RATE)
    assert model.predict(tmp_path / "same.wav", say=said.append).text == "cab"
    assert said == []
    assert model.predict(tmp_path / "other.wav", say=said.append).text == "cab"
    assert said == [f"'{tmp_path / 'other.wav'}': resampled from 16000 to 8000 samples a second, the model's rate"]
    with pytest.warns(UserWarning, match="the samples: resampled from 16000 to 8000"):
        model.predict(np.repeat(samples, 2), 2 * RATE)


def test_predict_needs_a_rate_for_samples(model: Transcriber) -> None:
    with pytest.raises(InputError, match="pass rate=8000"):
        model.predict(np.zeros(8000, np.float32))


def test_batching_changes_nothing(model: Transcriber) -> None:
    data = tones(9, 8)
    together = model.transcribe(data)
    alone = [model.transcribe([utterance])[0] for utterance in data]
    assert [found.text for found in together] == [found.text for found in alone]
    np.testing.assert_allclose([f.score for f in together], [f.score for f in alone], rtol=1e-4)


def test_saved_and_loaded_is_the_same(model: Transcriber, tmp_path: Path) -> None:
    model.save(tmp_path / "copy")
    again = Transcriber.load(tmp_path / "copy")
    assert again.config == model.config
    assert again.vocabulary == model.vocabulary
    data = tones(4, 9)
    assert again.transcribe(data) == model.transcribe(data)


def test_the_seed_fixes_everything(tmp_path: Path) -> None:
    short = replace(CONFIG, train=replace(CONFIG.train, epochs=2, prefetch=0))
    states = []
    for name, state in (("one", 1), ("two", 2)):
        torch.manual_seed(state)
        states.append(Transcriber.fit(tones(16, 1), tones(4, 2), tmp_path / name, short).network.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    other = replace(short, train=replace(short.train, seed=1))
    third = Transcriber.fit(tones(16, 1), tones(4, 2), tmp_path / "three", other).network.state_dict()
    assert not torch.equal(states[0]["out.weight"], third["out.weight"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "not one recording"),
        ([Utterance("long", np.zeros(1600, np.float32), "abcabcabcabc", rate=RATE)], "recording 'long' lasts 0.20 s"),
        ([Utterance("quiet", np.zeros(4000, np.float32), " ", rate=RATE)], "transcript of 'quiet' is empty"),
        ([Utterance("x", np.zeros(4000, np.float32), "xyz", rate=RATE)], "utterance 'x' holds the character 'x'"),
    ],
)
def test_data_that_cannot_be_used_is_named_before_anything_is_written(
    data: list[Utterance], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        Transcriber.fit(tones(8, 1), data, tmp_path / "out", CONFIG)
    assert not (tmp_path / "out").exists()


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def foreign_weights(folder: Path) -> None:
    safetensors.torch.save_file({"x": torch.zeros(3)}, folder / "model.safetensors")


def foreign_config(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text((folder / "config.json").read_text()[:100])


def newer_config(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | {"format": 99}))


def changed_config(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    content["config"]["network"]["hidden"] = 25
    (folder / "config.json").write_text(json.dumps(content))


def changed_vocabulary(folder: Path) -> None:
    path = folder / "vocabulary.json"
    path.write_text(path.read_text().replace('"a"', '"z"'))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors' is missing"),
        (lambda folder: (folder / "config.json").unlink(), "config.json' is missing"),
        (lambda folder: (folder / "vocabulary.json").unlink(), "vocabulary.json' is missing"),
        (lambda folder: shutil.rmtree(folder), "there is no model folder"),
        (cut_weights, "model.safetensors' is not the file that config.json names"),
        (foreign_weights, "model.safetensors' is not the file that config.json names"),
        (foreign_config, "config.json' is not of a karussell model"),
        (broken_config, "config.json' is no JSON"),
        (newer_config, "has format 99"),
        (changed_config, "does not fit the network"),
        (changed_vocabulary, "vocabulary.json' is not the file"),
    ],
)
def test_a_damaged_folder_is_named(folder: Path, tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    damage(copy)
    with pytest.raises(InputError, match=message):
        Transcriber.load(copy)
