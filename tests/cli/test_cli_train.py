"""`karussell train`: what it leaves, what it says, and that it can be stopped and gone on with."""

import json
import re
import resource
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command_line import SMALL, Karussell, command, environment

FILES = {"model.safetensors", "config.json", "vocabulary.json", "metrics.jsonl", "report.html", "result.json"}


def one_sentence(done: "subprocess.CompletedProcess[str]", status: int = 2) -> str:
    """The one line on stderr of a command that refused."""
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("karussell: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_leaves_a_whole_model_folder(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == FILES
    result = json.loads((trained / "result.json").read_text())
    assert result["valid"]["ler"] < 0.1 < result["valid"]["floor"]
    assert result["steps"] > 0
    assert "<svg" in (trained / "report.html").read_text()


def test_an_existing_folder_is_refused_and_kept(karussell: Karussell, data: Path, trained: Path) -> None:
    before = {path.name: path.read_bytes() for path in trained.iterdir()}
    said = one_sentence(karussell("train", data / "train.jsonl", "--out", trained, *SMALL))
    assert "exists already; add --resume" in said
    both = karussell("train", data / "train.jsonl", "--out", trained, "--resume", "--overwrite")
    assert "give one of the two" in one_sentence(both)
    finished = karussell("train", data / "train.jsonl", "--out", trained, "--resume", *SMALL)
    assert finished.returncode == 0
    assert "is finished" in finished.stderr
    # a bad manifest does not cost the run that --overwrite would have removed
    one_sentence(karussell("train", data / "none.jsonl", "--out", trained, "--overwrite"))
    assert before == {path.name: path.read_bytes() for path in trained.iterdir()}


def test_interrupted_says_how_to_go_on_and_that_gives_the_same_bits(data: Path, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "with a space"
    words = ["train", str(data / "train.jsonl"), "--out", str(out), *SMALL, "--train.log_steps", "1"]
    process = subprocess.Popen(command(*words), stderr=subprocess.PIPE, text=True, env=environment())
    metrics = out / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size > 1000):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    [line] = [line for line in err.splitlines() if line.startswith("karussell: interrupted; go on with: ")]
    again = shlex.split(line.split("go on with: ")[1])
    assert again[0] == "karussell"
    done = subprocess.run(
        command(*again[1:]), capture_output=True, text=True, env=environment(), timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "continuing after step" in done.stderr
    assert (out / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    assert {path.name for path in out.iterdir()} == FILES


def test_a_full_disk_is_one_sentence(data: Path, tmp_path: Path) -> None:
    # no file may grow beyond 20 kB: the kernel refuses as it does on a full disk
    done = subprocess.run(
        command("train", data / "train.jsonl", "--out", tmp_path / "out", *SMALL),
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert re.search(r"no space left to write '.*'; free some, then: karussell train .* --resume", one_sentence(done))
    left = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert left <= {"metrics.jsonl"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (None, "there is no file"),
        ([], "lists nothing"),
        ([{"audio": "good.wav", "text": "ab"}], "one recording is not enough"),
        ([{"audio": "good.wav", "text": "ab"}, {"audio": "more.wav", "text": "a"}], "line 2: there is no audio file"),
        ([{"audio": "good.wav", "text": "ab"}, {"audio": "text.wav", "text": " "}], "line 2: the transcript"),
        ([{"audio": "good.wav", "text": "ab"}, {"audio": "corrupt.wav", "text": "a"}], "corrupt.wav' cannot be read"),
        ([{"audio": "good.wav", "text": "ab"}, {"audio": "empty.wav", "text": "a"}], "empty.wav' is empty"),
        ([{"audio": "good.wav", "text": "ab"}, {"audio": "short.wav", "text": "a"}], "short.wav' is 0.010 s long"),
        ([{"audio": "good.wav", "text": "ab"}, {"audio": "eight.wav", "text": "a"}], "eight.wav' has 8 channels"),
        (
            [{"audio": "good.wav", "text": "ab"}, {"audio": "nan.wav", "text": "a"}],
            "nan.wav' holds samples that are not",
        ),
    ],
)
def test_bad_data_is_one_sentence_and_nothing_is_written(
    karussell: Karussell, bad: Path, lines: list[dict[str, str]] | None, message: str
) -> None:
    manifest = bad / "manifest.jsonl"
    manifest.unlink(missing_ok=True)
    if lines is not None:
        manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = karussell("train", manifest, "--out", bad / "out", *SMALL)
    assert message in one_sentence(done)
    assert not (bad / "out").exists()


def test_an_unknown_character_in_the_validation_is_named(karussell: Karussell, bad: Path, data: Path) -> None:
    (bad / "valid.jsonl").write_text(json.dumps({"audio": "good.wav", "text": "aéb"}) + "\n")
    done = karussell("train", data / "train.jsonl", "--valid", bad / "valid.jsonl", "--out", bad / "out", *SMALL)
    assert "'good.wav' holds the character 'é'" in one_sentence(done)
    assert not (bad / "out").exists()


def test_options_that_cannot_be_are_one_sentence(karussell: Karussell, data: Path) -> None:
    for words, message in (
        (["--train.epochs", "many"], "train.epochs"),
        (["--epochs", "0"], "train.epochs is 0; it must be larger than 0"),
        (["--epoks", "3"], "--epoks"),
        (["--device", "abacus"], "device 'abacus' cannot be used here"),
    ):
        said = one_sentence(karussell("train", data / "train.jsonl", "--out", data / "new", *words))
        assert message in said
    assert not (data / "new").exists()


def test_a_configuration_is_printed_and_taken(karussell: Karussell, data: Path, trained: Path, tmp_path: Path) -> None:
    words = ("train", data / "train.jsonl", "--out", tmp_path / "out", *SMALL)
    printed = karussell(*words, "--print_config")
    assert printed.returncode == 0
    (tmp_path / "tones.yaml").write_text(printed.stdout)
    done = karussell("train", "--config", tmp_path / "tones.yaml")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
