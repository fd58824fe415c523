"""`karussell predict`, `evaluate`, `doctor` and the help."""

import json
import shutil
from pathlib import Path

from command_line import Karussell

from karussell.data.audio import read_audio, write_audio


def test_predict_prints_the_text(karussell: Karussell, data: Path, trained: Path) -> None:
    rows = [json.loads(line) for line in (data / "test.jsonl").read_text().splitlines()][:3]
    files = [data / row["audio"] for row in rows]
    done = karussell("predict", trained, *files)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{file}: {row['text']}" for file, row in zip(files, rows, strict=True)]
    times = karussell("predict", trained, files[0], "--times").stdout.splitlines()
    assert times[0] == rows[0]["text"]
    assert [line.split()[-1] for line in times[1:]] == list(rows[0]["text"])


def test_predict_as_json_and_a_resample_is_said(
    karussell: Karussell, data: Path, trained: Path, tmp_path: Path
) -> None:
    row = json.loads((data / "test.jsonl").read_text().splitlines()[0])
    write_audio(tmp_path / "other.flac", read_audio(data / row["audio"], 16000).samples, 16000)
    done = karussell("predict", trained, tmp_path / "other.flac", "--json")
    found = json.loads(done.stdout)
    assert found["text"] == row["text"]
    assert [label["text"] for label in found["labels"]] == list(row["text"])
    assert all(0 <= label["start"] < label["end"] and 0 < label["confidence"] <= 1 for label in found["labels"])
    assert "resampled from 16000 to 8000" in done.stderr


def test_predict_names_each_bad_file_and_reads_the_others(karussell: Karussell, bad: Path, trained: Path) -> None:
    names = ("none", "corrupt", "empty", "short", "eight", "nan", "text")
    done = karussell("predict", trained, *(bad / f"{name}.wav" for name in names), bad / "good.wav")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(names)
    for name, line in zip(names, lines, strict=True):
        assert line.startswith("karussell: ")
        assert f"{name}.wav'" in line
    assert len(done.stdout.splitlines()) == 1


def test_evaluate_gives_rates_with_intervals(karussell: Karussell, data: Path, trained: Path) -> None:
    text = karussell("evaluate", trained, data / "test.jsonl").stdout
    assert text.startswith("label error rate  ")
    assert "12 recordings" in text
    found = json.loads(karussell("evaluate", trained, data / "test.jsonl", "--json").stdout)
    assert 0 <= found["low"] <= found["ler"] <= found["high"] < 0.3


def test_a_model_folder_that_is_not_one_is_named(
    karussell: Karussell, data: Path, trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "cut")
    weights = tmp_path / "cut/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    for folder, message in (
        (tmp_path / "cut", "model.safetensors' is not the file that config.json names"),
        (tmp_path / "none", "there is no model folder"),
        (data, "config.json' is missing"),
    ):
        done = karussell("predict", folder, data / "1-0.wav")
        assert done.returncode == 2
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert done.stdout == ""


def test_evaluate_names_a_character_the_model_does_not_know(karussell: Karussell, bad: Path, trained: Path) -> None:
    (bad / "other.jsonl").write_text(json.dumps({"audio": "good.wav", "text": "xyz"}) + "\n")
    done = karussell("evaluate", trained, bad / "other.jsonl")
    assert done.returncode == 2
    assert "holds the character 'x'" in done.stderr


def test_help_and_doctor(karussell: Karussell) -> None:
    help_text = karussell("--help").stdout
    for name in ("train", "evaluate", "predict", "doctor"):
        assert name in help_text
        assert "--help" in karussell(name, "--help").stdout
    found = karussell("doctor")
    assert found.returncode == 0
    for name in ("python", "torch", "compiler", "soundfile", "engines", "reference"):
        assert name in found.stdout
    nothing = karussell()
    assert nothing.returncode == 2
    assert len(nothing.stderr.splitlines()) == 1
