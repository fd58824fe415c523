"""The real command in a process of its own, on recordings that a small network learns in seconds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import SMALL, Karussell, command, environment

# the tones of the transcriber's tests
sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))

from tones import RATE, tones

from karussell.data.audio import write_audio


@pytest.fixture(scope="session")
def karussell() -> Karussell:
    def run(*words: object, **more: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command(*words), capture_output=True, text=True, env=environment(), timeout=120, check=False, **more
        )

    return run


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recordings of tones and train.jsonl, test.jsonl."""
    folder = tmp_path_factory.mktemp("tones")
    for name, utterances in (("train", tones(88, 1)), ("test", tones(12, 3))):
        rows = []
        for utterance in utterances:
            write_audio(folder / f"{utterance.id}.wav", utterance.audio, RATE)
            rows.append({"audio": f"{utterance.id}.wav", "text": utterance.text})
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="session")
def trained(karussell: Karussell, data: Path) -> Path:
    """The model folder that `karussell train` leaves."""
    done = karussell("train", data / "train.jsonl", "--out", data / "model", *SMALL)
    assert done.returncode == 0, done.stderr
    return data / "model"


@pytest.fixture(scope="session")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every kind of recording that cannot be used, and a good one."""
    import numpy as np
    import soundfile

    folder = tmp_path_factory.mktemp("bad")
    [good] = tones(1, 4)
    write_audio(folder / "good.wav", good.audio, RATE)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "corrupt.wav").write_bytes(b"RIFF" + bytes(range(200)))
    (folder / "text.wav").write_text("this is a letter, not a recording\n" * 20)
    soundfile.write(folder / "short.wav", np.zeros(RATE // 100), RATE)
    soundfile.write(folder / "eight.wav", np.zeros((RATE, 8)), RATE)
    broken = np.asarray(good.audio).copy()
    broken[100] = np.nan
    soundfile.write(folder / "nan.wav", broken, RATE, subtype="FLOAT")
    return folder
