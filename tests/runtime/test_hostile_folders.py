"""Model folders from strangers: every damage is one clear sentence, in torch and without, and nothing is executed."""

import hashlib
import json
import os
import pickle
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

sys.path.insert(0, str(Path(__file__).parents[1]))

from karussell import runtime
from karussell.errors import InputError
from karussell.tasks import Transcriber
from random_models import random_transcriber

WEIGHTS, CONFIG, VOCABULARY = "model.safetensors", "config.json", "vocabulary.json"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sound")
    random_transcriber(causal=True).save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def signed(folder: Path) -> None:
    """Make the checksums those of the files: a forger can."""
    config = json.loads((folder / CONFIG).read_bytes())
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (WEIGHTS, VOCABULARY)}
    (folder / CONFIG).write_text(json.dumps({**config, "sha256": sums}))


def setting(*path: str | int, value: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_bytes())
        inner = config
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        (folder / CONFIG).write_text(json.dumps(config))

    return change


def weights(change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        tensors = safetensors.numpy.load((folder / WEIGHTS).read_bytes())
        change(tensors)
        (folder / WEIGHTS).write_bytes(safetensors.numpy.save(tensors))
        signed(folder)

    return forge


def content(name: str, data: bytes) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        (folder / name).write_bytes(data)
        if name != CONFIG:
            signed(folder)

    return forge


def cut(name: str, share: float) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, int(share * (folder / name).stat().st_size))


def flipped(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / WEIGHTS).write_bytes(data)


def outside(folder: Path) -> None:
    """The checksums name a file that is not in the folder; nobody must look for it."""
    secret = folder.parent / "secret"
    secret.write_text("secret")
    setting("sha256", value={"../secret": hashlib.sha256(b"secret").hexdigest()})(folder)


class Exploit:
    def __reduce__(self):
        return (os.mkdir, (os.environ["KARUSSELL_TEST_EXPLOIT"],))


def pickled(name: str) -> Callable[[Path], None]:
    return lambda folder: content(name, pickle.dumps(Exploit()))(folder)


def sparse(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, size)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no weights": lambda folder: (folder / WEIGHTS).unlink(),
    "no configuration": lambda folder: (folder / CONFIG).unlink(),
    "no vocabulary": lambda folder: (folder / VOCABULARY).unlink(),
    "weights cut short": cut(WEIGHTS, 0.7),
    "configuration cut short": cut(CONFIG, 0.5),
    "vocabulary empty": cut(VOCABULARY, 0.0),
    "one bit": flipped,
    "a folder for a file": lambda folder: ((folder / CONFIG).unlink(), (folder / CONFIG).mkdir()),
    "configuration of another kind": content(CONFIG, b"[1, 2]"),
    "configuration without end": content(CONFIG, b"[" * 100_000),
    "configuration that is no text": content(CONFIG, b"\xff\xfe\x00"),
    "a pickle for weights": pickled(WEIGHTS),
    "a pickle for a configuration": pickled(CONFIG),
    "a header longer than the file": content(WEIGHTS, struct.pack("<Q", 1 << 62) + b"{}"),
    "weights beyond the file": content(
        WEIGHTS,
        struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,9999]}}'.ljust(60),
    ),
    "another format": setting("format", value=99),
    "another task": setting("task", value="__import__('os').system('x')"),
    "a checksum elsewhere": outside,
    "a checksum of no text": setting("sha256", WEIGHTS, value=["x"]),
    "an unknown setting": setting("config", "network", "shell", value="rm"),
    "a network without end": setting("config", "network", "hidden", value=10**9),
    "more layers than weights": setting("config", "network", "layers", value=10**6),
    "bands without end": setting("config", "features", "bands", value=10**9),
    "a window without end": setting("config", "features", "window_ms", value=1e18),
    "a size that is text": setting("config", "network", "context", value="5"),
    "strides of nothing": setting("config", "network", "time_strides", value=[0, 0]),
    "a normalisation of other bands": setting("normalisation", "mean", value=[0.0]),
    "a normalisation of text": setting("normalisation", "std", value="abc"),
    "weights of another shape": weights(lambda t: t.update({"out.bias": np.zeros(99, np.float32)})),
    "weights that are whole numbers": weights(lambda t: t.update({"out.bias": np.zeros(5, np.int64)})),
    "weights missing": weights(lambda t: t.pop("lstm.weight_hh_l0")),
    "symbols without end": content(VOCABULARY, json.dumps({"unit": "word", "blank": 0, "symbols": ["a"]}).encode()),
    "symbols that are none": content(VOCABULARY, b'{"unit": "character", "blank": 0, "symbols": 7}'),
    "a blank that is none": content(VOCABULARY, b'{"unit": "character", "blank": -3, "symbols": ["a", "b", "c", "d"]}'),
    "a configuration of gigabytes": sparse(CONFIG, 1 << 34),
    "weights of terabytes": sparse(WEIGHTS, 1 << 42),
}


@pytest.mark.parametrize("load", [Transcriber.load, runtime.load], ids=["torch", "runtime"])
@pytest.mark.parametrize("name", DAMAGE)
def test_every_damage_is_one_sentence(
    name: str, load: Callable, sound: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KARUSSELL_TEST_EXPLOIT", str(tmp_path / "executed"))
    folder = tmp_path / "model"
    folder.mkdir()
    for part, data in sound.items():
        (folder / part).write_bytes(data)
    load(folder)
    DAMAGE[name](folder)
    with pytest.raises(InputError) as caught:
        load(folder)
    sentence = str(caught.value)
    assert str(folder) in sentence
    assert len(sentence) < 600
    assert "secret" not in sentence
    assert not (tmp_path / "executed").exists()


def test_there_are_enough() -> None:
    assert len(DAMAGE) >= 20
