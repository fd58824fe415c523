"""`karussell export` and `karussell predict --live`, in a process of their own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import Karussell, command, environment

sys.path.insert(0, str(Path(__file__).parents[1]))

from random_models import RATE, random_transcriber, recording


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("causal")
    random_transcriber(causal=True).save(folder)
    return folder


def live(folder: Path, data: bytes, *words: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        command("predict", folder, "--live", *words), input=data, capture_output=True, env=environment(), timeout=120
    )


def test_a_pipe_is_heard_while_it_flows(causal: Path) -> None:
    integers = (recording(2.0, seed=2) * 32767).astype("<i2")
    run = live(causal, integers.tobytes() + b"\x00")
    assert run.returncode == 0, run.stderr
    from karussell import runtime

    expected = runtime.load(causal).predict(integers.astype(np.float32) / 32768, RATE)
    assert run.stdout.decode().rstrip("\n") == expected.text
    assert len(expected.text) > 3
    assert "8000 a second" in run.stderr.decode()
    rows = live(causal, integers.tobytes(), "--json").stdout.decode().splitlines()
    assert len(rows) == len(expected.tokens)


def test_export_writes_both(causal: Path, tmp_path: Path, karussell: Karussell) -> None:
    done = karussell("export", causal, "--to", "c", "--out", tmp_path / "model.c", "--name", "mine")
    assert done.returncode == 0, done.stderr
    assert "int mine_push(" in (tmp_path / "model.c").read_text()
    pytest.importorskip("onnxruntime", reason="the export extra is not installed")
    done = karussell("export", causal, "--to", "onnx", "--stream", "--out", tmp_path / "model.onnx")
    assert done.returncode == 0, done.stderr
    assert "in ONNX Runtime" in done.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--to", "tflite"), "choose onnx or c"),
        (("--to", "c", "--name", "7"), "no name for C functions"),
    ],
)
def test_export_refuses(causal: Path, karussell: Karussell, words: tuple[str, ...], sentence: str) -> None:
    done = karussell("export", causal, *words)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_nothing_to_hear_is_said(causal: Path, karussell: Karussell) -> None:
    done = karussell("predict", causal)
    assert done.returncode == 2
    assert "--live" in done.stderr
