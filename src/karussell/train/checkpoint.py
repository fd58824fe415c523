"""Checkpoints that survive a kill at any moment: safetensors and JSON, checksummed, renamed into place.

    checkpoints/step-00000120/state.safetensors    every tensor of the run
    checkpoints/step-00000120/state.json           counters, checksum of both files

A folder appears complete or not at all. Two are kept, so that damage to the newest costs a few steps.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """One moment of a run: all tensors by name, and everything else as JSON values."""

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save_checkpoint(
    folder: Path, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any], *, keep: int = 2
) -> Path:
    """Write one checkpoint beside the others and remove all but the newest `keep`."""
    final = folder / f"step-{step:08d}"
    partial = folder / f".partial-{step:08d}"
    folder.mkdir(parents=True, exist_ok=True)
    _clear(partial)
    try:
        partial.mkdir()
        payload = save_tensors({name: _plain(tensor) for name, tensor in tensors.items()})
        digest = hashlib.sha256(payload).hexdigest()
        body = {"format": FORMAT, "step": step, "tensors": digest, "state": dict(state)}
        document = json.dumps({**body, "checksum": _checksum(body)}, indent=1)
        _write_through(partial / "state.safetensors", payload)
        _write_through(partial / "state.json", document.encode())
        # a run that was sent back to an older step arrives here again with the same name
        _clear(final)
        os.replace(partial, final)
    except BaseException:
        _clear(partial)
        raise
    for old in _steps(folder)[:-keep]:
        _clear(old)
    return final


def newest_checkpoint(folder: Path, say: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that reads back whole; damaged ones are named through `say` and passed over."""
    for path in reversed(_steps(folder)):
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            say(f"checkpoint {path} is damaged ({error}); falling back to the one before")
    return None


def clear_partial(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for path in folder.glob(".partial-*"):
        _clear(path)


def _read(path: Path) -> Checkpoint:
    document = json.loads((path / "state.json").read_bytes())
    if document.pop("checksum") != _checksum(document):
        raise ValueError("state.json does not match its checksum")
    payload = (path / "state.safetensors").read_bytes()
    if hashlib.sha256(payload).hexdigest() != document["tensors"]:
        raise ValueError("state.safetensors does not match its checksum")
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']}, this version reads {FORMAT}")
    return Checkpoint(document["step"], load_tensors(payload), document["state"])


def _steps(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _plain(tensor: Tensor) -> Tensor:
    # a copy of its own: safetensors refuses tensors that share memory
    return tensor.detach().to("cpu", copy=True).contiguous()


def _checksum(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _write_through(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _clear(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
