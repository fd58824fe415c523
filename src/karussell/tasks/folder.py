"""A model on disk: a folder of safetensors and JSON, checked as a whole before anything of it is used."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from karussell.data.files import write_atomic
from karussell.data.vocabulary import Vocabulary
from karussell.errors import InputError
from karussell.runtime.folder import MOST_WEIGHTS, read_json
from karussell.runtime.folder import content as read_bytes

FORMAT = 1
TASK = "transcribe"
WEIGHTS, CONFIG, VOCABULARY = "model.safetensors", "config.json", "vocabulary.json"
METRICS, REPORT, RESULT = "metrics.jsonl", "report.html", "result.json"
CHECKPOINTS = "checkpoints"


def write_parts(
    folder: Path,
    task: str,
    tensors: Mapping[str, Tensor],
    config: Mapping[str, Any],
    parts: Mapping[str, bytes] | None = None,
) -> None:
    """Write weights and the task's other files by name, then the configuration that names task and checksums."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    contents = {WEIGHTS: save_tensors(plain), **(parts or {})}
    for name, content in contents.items():
        write_atomic(folder / name, content)
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    write_json(folder / CONFIG, {"format": FORMAT, "task": task, **config, "sha256": checksums})


def read_parts(
    folder: Path, task: str, parts: Sequence[str] = ()
) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, bytes]]:
    """Read what `write_parts` wrote: weights, configuration, other files; InputError names what cannot be used."""
    config = read_config(folder)
    if config["task"] != task:
        raise InputError(f"'{folder}' holds a model of the task '{config['task']}', and '{task}' was asked for")
    contents = {name: _content(folder, name, config["sha256"]) for name in (WEIGHTS, *parts)}
    try:
        tensors = load_tensors(contents.pop(WEIGHTS))
    except SafetensorError as error:
        raise InputError(f"'{folder / WEIGHTS}' holds no weights ({error}); copy the model folder again") from error
    return tensors, config, contents


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of any model folder; its `task` says whose it is."""
    if not folder.is_dir():
        raise InputError(f"there is no model folder '{folder}'; train one with: karussell train DATA --out {folder}")
    if (folder / CHECKPOINTS).exists() and not any((folder / name).exists() for name in (CONFIG, WEIGHTS)):
        raise InputError(f"'{folder}' holds a run that has not finished; repeat its command with --resume first")
    return _config(folder / CONFIG)


def write_model(folder: Path, tensors: Mapping[str, Tensor], vocabulary: Vocabulary, config: dict[str, Any]) -> None:
    """Write weights and vocabulary of a transcriber, then the configuration that names their checksums."""
    write_parts(folder, TASK, tensors, config, {VOCABULARY: vocabulary.to_json().encode()})


def read_model(folder: Path) -> tuple[dict[str, Tensor], Vocabulary, dict[str, Any]]:
    """Read what `write_model` wrote; InputError names the file that is missing, truncated or foreign."""
    tensors, config, parts = read_parts(folder, TASK, (VOCABULARY,))
    try:
        vocabulary = Vocabulary.from_json(parts[VOCABULARY].decode())
    except (InputError, UnicodeDecodeError) as error:
        raise InputError(f"'{folder / VOCABULARY}' is {error}; copy the model folder again") from error
    return tensors, vocabulary, config


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file whole or not at all."""
    write_atomic(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def claim(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """See that a run may use `folder`: one that exists is refused, unless it is empty or the run in it goes on."""
    if resume and overwrite:
        raise InputError("--resume goes on with the run in the folder and --overwrite removes it; give one of the two")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"'{folder}' is a file; --out needs a folder")
    if not (resume or overwrite) and folder.exists() and any(folder.iterdir()):
        raise InputError(
            f"the folder '{folder}' exists already; add --resume to go on with the run in it, --overwrite to begin "
            "again, or choose another --out"
        )


def finish(folder: Path) -> None:
    """Remove what only an unfinished run needs."""
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def remove_run(folder: Path) -> None:
    """Remove the files of a run, and leave everything else in the folder."""
    for name in (CONFIG, WEIGHTS, VOCABULARY, METRICS, REPORT, RESULT):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def _config(path: Path) -> dict[str, Any]:
    config = read_json(path)
    sound = isinstance(config, dict) and isinstance(config.get("task"), str)
    if not sound or not isinstance(config.get("sha256"), dict):
        raise InputError(f"'{path}' is not of a karussell model; check the path")
    if config.get("format") != FORMAT:
        raise InputError(
            f"'{path}' has format {config.get('format')}, and this version reads {FORMAT}; "
            "use the version of karussell that wrote it"
        )
    return config


def _content(folder: Path, name: str, checksums: Mapping[str, str]) -> bytes:
    path = folder / name
    content = read_bytes(path, MOST_WEIGHTS)
    if hashlib.sha256(content).hexdigest() != checksums.get(name):
        raise InputError(
            f"'{path}' is not the file that config.json names: it was cut short, changed or belongs to another "
            "model; copy the model folder again"
        )
    return content
