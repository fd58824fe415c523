"""`karussell train digits`: the demonstration from end to end, with a network too small to learn."""

import json
import shlex
from pathlib import Path

import pytest
from command_line import Karussell

from karussell.data.digits import SPEAKERS

TINY = shlex.split("--epochs 1 --network.channels [2,2] --network.context 0 --hidden 4 --device cpu --batch_size 64")


def test_the_demonstration_leaves_everything_it_names(karussell: Karussell, tmp_path: Path) -> None:
    out = tmp_path / "digits"
    done = karussell("train", "digits", "--out", out, "--speaker", "george", *TINY)
    assert done.returncode == 0, done.stderr
    result = json.loads((out / "result.json").read_text())
    assert {"seconds", "official", "unseen_speaker"} <= set(result)
    assert {"ler", "floor", "utterances"} <= set(result["official"])
    assert {"speaker", "ler", "floor"} <= set(result["unseen_speaker"])
    assert result["unseen_speaker"]["speaker"] == "george"
    assert 0 < result["official"]["floor"] < result["unseen_speaker"]["floor"] < 0.6
    for folder in (out, out / "without-george"):
        files = {path.name for path in folder.iterdir() if path.is_file()}
        assert {"model.safetensors", "config.json", "vocabulary.json", "metrics.jsonl", "report.html"} <= files
    assert "[official] step" in done.stderr
    assert "[without george] step" in done.stderr
    # every command it prints runs, whatever a network of four units makes of it
    lines = [line.split("#")[0].split() for line in done.stdout.splitlines() if line.strip().startswith("karussell")]
    assert [words[1] for words in lines] == ["predict", "evaluate", "evaluate"]
    for words in lines:
        tried = karussell(*words[1:])
        assert tried.returncode == 0, tried.stderr


def test_an_unknown_speaker_is_named_before_anything_is_done(karussell: Karussell, tmp_path: Path) -> None:
    done = karussell("train", "digits", "--out", tmp_path / "out", "--speaker", "nobody")
    assert done.returncode == 2
    assert "there is no speaker 'nobody'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_leaving_one_out_keeps_the_speakers_that_are_done(karussell: Karussell, tmp_path: Path) -> None:
    known = {"ler": 0.25, "floor": 0.5, "seconds": 10.0}
    for speaker in SPEAKERS[1:]:
        folder = tmp_path / f"without-{speaker}"
        folder.mkdir()
        (folder / "result.json").write_text(json.dumps(known))
    done = karussell("train", "digits", "--leave_one_out", "--resume", "--out", tmp_path, *TINY)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert list(result["speakers"]) == list(SPEAKERS)
    assert all(result["speakers"][speaker] == known for speaker in SPEAKERS[1:])
    ler = result["speakers"][SPEAKERS[0]]["ler"]
    assert result["mean"]["ler"] == pytest.approx((5 * 0.25 + ler) / 6)
    assert f"without {SPEAKERS[1]}" not in done.stderr
