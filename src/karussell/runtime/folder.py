"""Read a model folder with NumPy alone: bounded, checked, and nothing in it is ever executed."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from karussell.errors import InputError

FORMAT = 1
WEIGHTS, CONFIG, VOCABULARY = "model.safetensors", "config.json", "vocabulary.json"
# more than any model of ours, less than what a machine cannot hold
MOST_JSON, MOST_WEIGHTS = 16 * 1024**2, 4 * 1024**3


def read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, Any]]:
    """Configuration, weights and vocabulary; InputError names the file that is missing, damaged or foreign."""
    if not folder.is_dir():
        raise InputError(f"there is no model folder '{folder}'; check the path")
    config = read_json(folder / CONFIG)
    if not isinstance(config.get("task"), str) or not isinstance(config.get("sha256"), dict):
        raise InputError(f"'{folder / CONFIG}' is not of a karussell model; check the path")
    if config.get("format") != FORMAT:
        raise InputError(
            f"'{folder / CONFIG}' has format {config.get('format')}, and this version reads {FORMAT}; "
            "use the version of karussell that wrote it"
        )
    weights = _checked(folder, WEIGHTS, MOST_WEIGHTS, config["sha256"])
    vocabulary = parse_json(folder / VOCABULARY, _checked(folder, VOCABULARY, MOST_JSON, config["sha256"]))
    return config, _tensors(folder / WEIGHTS, weights), vocabulary


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of bounded size."""
    return parse_json(path, content(path, MOST_JSON))


def parse_json(path: Path, text: bytes) -> dict[str, Any]:
    """A JSON object; InputError names the file it should have come from."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"'{path}' is no JSON ({error}); copy the model folder again") from error
    if not isinstance(found, dict):
        raise InputError(f"'{path}' holds no JSON object; copy the model folder again")
    return found


def content(path: Path, most: int) -> bytes:
    """The bytes of a plain file of at most `most` bytes, which is seen before anything is read."""
    try:
        if not path.is_file():
            raise InputError(f"'{path}' is missing, so '{path.parent}' is no whole model; copy the folder again")
        size = path.stat().st_size
        if size > most:
            raise InputError(f"'{path}' has {size} bytes, and at most {most} are read; it is no file of a model")
        return path.read_bytes()
    except PermissionError as error:
        raise InputError(f"'{path}' may not be read ({error.strerror}); change its permissions") from error


def _checked(folder: Path, name: str, most: int, checksums: Mapping[str, Any]) -> bytes:
    found = content(folder / name, most)
    if hashlib.sha256(found).hexdigest() != checksums.get(name):
        raise InputError(
            f"'{folder / name}' is not the file that config.json names: it was cut short, changed or belongs to "
            "another model; copy the model folder again"
        )
    return found


def _tensors(path: Path, data: bytes) -> dict[str, np.ndarray]:
    # imported here: what only reads a configuration does not need it
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(data)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"'{path}' holds no weights ({error}); copy the model folder again") from error
