"""Folders of other tasks from strangers: every damage is one sentence, nothing is executed, no memory is taken."""

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from untrained import classifier, forecaster, tagger

from karussell.errors import InputError
from karussell.tasks.classifier import Classifier
from karussell.tasks.forecaster import Forecaster
from karussell.tasks.tagger import Tagger

WEIGHTS, CONFIG = "model.safetensors", "config.json"
TASKS = {
    "classify": (Classifier, classifier, "vocabulary.json"),
    "tag": (Tagger, tagger, "vocabulary.json"),
    "forecast": (Forecaster, forecaster, "series.json"),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    found = {}
    for name, (_, make, _) in TASKS.items():
        folder = tmp_path_factory.mktemp(name)
        make().save(folder)
        found[name] = {path.name: path.read_bytes() for path in folder.iterdir()}
    return found


def signed(folder: Path) -> None:
    """The checksums of a forger are right."""
    config = json.loads((folder / CONFIG).read_bytes())
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in config["sha256"]}
    (folder / CONFIG).write_text(json.dumps({**config, "sha256": sums}))


def setting(*path: str, value: object, part: str = CONFIG) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / part).read_bytes())
        inner = content
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        (folder / part).write_text(json.dumps(content))
        signed(folder)

    return change


def content(name: str, data: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(data)
        if name != CONFIG:
            signed(folder)

    return change


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        tensors = load_tensors((folder / WEIGHTS).read_bytes())
        change(tensors)
        (folder / WEIGHTS).write_bytes(save_tensors(tensors))
        signed(folder)

    return forge


class Exploit:
    def __reduce__(self):
        return (os.mkdir, (os.environ["KARUSSELL_TEST_EXPLOIT"],))


def pickled(name: str) -> Callable[[Path], None]:
    return lambda folder: content(name, pickle.dumps(Exploit()))(folder)


def first(tensors: dict[str, torch.Tensor]) -> str:
    return sorted(tensors)[0]


EVERY = {
    "no weights": lambda folder: (folder / WEIGHTS).unlink(),
    "weights cut short": lambda folder: os.truncate(folder / WEIGHTS, 1000),
    "a pickle for weights": pickled(WEIGHTS),
    "a pickle for a configuration": pickled(CONFIG),
    "configuration without end": content(CONFIG, b"[" * 100_000),
    "a configuration of gigabytes": lambda folder: os.truncate(folder / CONFIG, 1 << 34),
    "weights of terabytes": lambda folder: os.truncate(folder / WEIGHTS, 1 << 42),
    "weights missing": weights(lambda t: t.pop(first(t))),
    "weights of another shape": weights(lambda t: t.update({first(t): torch.zeros(3, 5)})),
    "weights too many": weights(lambda t: t.update({"more": torch.zeros(3)})),
    "units without end": setting("config", "network", "hidden", value=10**9),
    "units beyond memory": setting("config", "network", "hidden", value=60_000),
    "units below none": setting("config", "network", "hidden", value=-1),
    "layers without end": setting("config", "network", "layers", value=10**9),
    "an unknown setting": setting("config", "network", "shell", value="rm"),
    "a size that is text": setting("config", "network", "hidden", value="5"),
    "no configuration of the network": setting("config", "network", value=None),
}
SEQUENCES = {
    "channels without end": setting("config", "network", "channels", value=[10**9]),
    "channels beyond memory": setting("config", "network", "channels", value=[50_000] * 3),
    "a width without end": setting("config", "network", "widths", value=[10**9]),
    "letters without end": setting("config", "network", "letters", value=10**9),
    "words without end": setting("config", "network", "words", value=10**9),
    "labels that are none": setting("labels", value=7, part="vocabulary.json"),
    "labels of numbers": setting("labels", value=[1, 2, 3], part="vocabulary.json"),
    "no labels": setting("labels", value=[], part="vocabulary.json"),
    "more labels": setting("labels", value=[str(k) for k in range(10_000)], part="vocabulary.json"),
    "inputs of text": setting("inputs", value="abc", part="vocabulary.json"),
}
OWN: dict[str, dict[str, Callable[[Path], object]]] = {
    "classify": SEQUENCES
    | {
        "members without end": setting("config", "members", value=10**9),
        "a temperature of text": setting("temperature", value="hot"),
        "a floor without end": setting("floor", "longest", value=10**15),
        "a floor of nothing": setting("floor", "every", value=0),
    },
    "tag": SEQUENCES,
    "forecast": {
        "a horizon without end": setting("config", "horizon", value=10**9),
        "a context without end": setting("config", "context", value=10**12),
        "a patch without end": setting("config", "network", "patch", value=10**12),
        "a season without end": setting("config", "season", value=10**30),
        "another distribution": setting("config", "distribution", value="os.system"),
        "a step of nothing": setting("facts", "step", "size", value=0),
        "a step of another kind": setting("facts", "step", "kind", value="x"),
        "stretches too many": setting("facts", "stretch", value=[1.0] * 99),
        "scales that are none": content("series.json", b"[[[]]]"),
    },
}
CASES = [(task, name, damage) for task in TASKS for name, damage in (EVERY | OWN[task]).items()]


@pytest.mark.parametrize(("task", "name", "damage"), CASES, ids=[f"{task}: {name}" for task, name, _ in CASES])
def test_every_damage_is_one_sentence(
    task: str,
    name: str,
    damage: Callable[[Path], object],
    sound: dict[str, dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KARUSSELL_TEST_EXPLOIT", str(tmp_path / "executed"))
    folder = tmp_path / "model"
    folder.mkdir()
    for part, data in sound[task].items():
        (folder / part).write_bytes(data)
    kind = TASKS[task][0]
    kind.load(folder)
    damage(folder)
    with pytest.raises(InputError) as caught:
        kind.load(folder)
    sentence = str(caught.value)
    assert str(folder) in sentence
    assert len(sentence) < 700
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("task", TASKS)
def test_a_folder_of_another_task_is_refused(task: str, sound: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    for part, data in sound[task].items():
        (tmp_path / part).write_bytes(data)
    for other, (kind, _, _) in TASKS.items():
        if other != task:
            with pytest.raises(InputError, match=f"a model of the task '{task}'"):
                kind.load(tmp_path)
