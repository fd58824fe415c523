"""The words of the command `karussell`, what it says, and a setting under which it trains in seconds."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable

import pytest

from karussell.cli import main

SMALL = shlex.split("""
    --epochs 24 --learning_rate 0.01 --train.clip 1 --device cpu --train.validate_epochs 4 --train.ema 0.9
    --batch_size 8 --network.channels [8] --network.time_strides [2] --network.band_strides [2] --hidden 24
    --layers 1 --network.dropout 0 --features.bands 16 --augment.tempo 0.1 --augment.warp 0 --augment.bend 0
    --augment.noise 0 --augment.eq_db 0 --augment.tilt_db 0 --augment.reverb 0 --augment.frequency_masks 0
    --augment.time_masks 0
""")

Karussell = Callable[..., "subprocess.CompletedProcess[str]"]


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "karussell.cli", *map(str, words)]


def environment() -> dict[str, str]:
    # one thread in all, so that runs agree to the bit wherever the tests run
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def say(capsys: pytest.CaptureFixture[str], *given: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    status = main([str(word) for word in given])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out, err


def refused(capsys: pytest.CaptureFixture[str], *given: object) -> str:
    """The one sentence with which a command is refused."""
    status, out, err = say(capsys, *given)
    assert (status, out) == (2, "")
    sentence = err.strip().splitlines()[-1]
    assert sentence.startswith("karussell: ")
    return sentence
