"""A run that is killed at any moment and started again ends with the same bits."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("tiny_run.py")
PAUSE = "pause=0.02"
SETTINGS = ("ema=0.9", "patience=5")


def start(out: Path, *settings: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(out), *settings], stderr=subprocess.PIPE, text=True, env=environment
    )


def finish(out: Path, *settings: str) -> str:
    process = start(out, *settings)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return err


def left(out: Path) -> tuple[bytes, bytes]:
    return (out / "final.safetensors").read_bytes(), (out / "final.json").read_bytes()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    out = tmp_path_factory.mktemp("unbroken")
    finish(out, *SETTINGS)
    return left(out)


@pytest.mark.parametrize("checkpoint_seconds", [0, 0.15])
def test_killed_at_random_moments_ends_with_the_same_bits(
    tmp_path: Path, unbroken: tuple[bytes, bytes], checkpoint_seconds: float
) -> None:
    chance = random.Random(checkpoint_seconds)
    settings = (*SETTINGS, PAUSE, f"checkpoint_seconds={checkpoint_seconds}")
    kills = 0
    for _ in range(3):
        process = start(tmp_path, *settings)
        before = newest(tmp_path)
        while newest(tmp_path) == before and process.poll() is None:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills == 3
    assert not (tmp_path / "final.safetensors").exists()
    said = finish(tmp_path, *settings)
    assert "continuing after step" in said
    assert left(tmp_path) == unbroken


def test_interrupted_leaves_a_checkpoint_of_that_step(tmp_path: Path, unbroken: tuple[bytes, bytes]) -> None:
    process = start(tmp_path, *SETTINGS, PAUSE, "checkpoint_seconds=1000", "log_steps=1")
    while not (tmp_path / "metrics.jsonl").exists() or not (tmp_path / "metrics.jsonl").stat().st_size:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert newest(tmp_path) > ""
    said = finish(tmp_path, *SETTINGS, PAUSE, "log_steps=1")
    assert "continuing after step" in said
    assert left(tmp_path)[0] == unbroken[0]


def test_a_damaged_checkpoint_falls_back_and_says_so(tmp_path: Path, unbroken: tuple[bytes, bytes]) -> None:
    process = start(tmp_path, *SETTINGS, PAUSE, "checkpoint_seconds=0")
    while len(list((tmp_path / "checkpoints").glob("step-*"))) < 2 and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    damaged = tmp_path / "checkpoints" / newest(tmp_path) / "state.safetensors"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    said = finish(tmp_path, *SETTINGS, PAUSE)
    assert str(damaged.parent) in said
    assert "is damaged" in said
    assert "continuing after step" in said
    assert left(tmp_path) == unbroken


def test_a_loss_that_is_not_a_number_is_one_sentence(tmp_path: Path) -> None:
    process = start(tmp_path, "poison=14")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.strip().splitlines()[-1].startswith("error: the loss became nan at step 14;")
    assert "Traceback" not in err
    assert not (tmp_path / "final.safetensors").exists()


def newest(out: Path) -> str:
    return max((path.name for path in (out / "checkpoints").glob("step-*")), default="")
