"""The files of other tools: pyctcdecode's folder, a vocabulary of Hugging Face, flashlight's tokens."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from karussell.ctc.doors.alphabet import Alphabet
from karussell.ctc.search import Writing, read_tokens
from karussell.errors import InputError
from karussell.files import write_atomic

if TYPE_CHECKING:
    from karussell.ctc.lm import LanguageModel

ALPHABET, MODEL = "alphabet.json", "language_model"
ATTRIBUTES, UNIGRAMS = "attrs.json", "unigrams.txt"
NUMBERS = {"alpha": 0.5, "beta": 1.5, "unk_score_offset": -10.0, "score_boundary": True}


def read_vocabulary(path: str | Path) -> list[str]:
    """The labels by number of a `vocab.json`, an object from labels to numbers 0 … n - 1 (a pure function of it)."""
    content = _json(Path(path))
    if not isinstance(content, dict) or not content or not all(type(n) is int for n in content.values()):
        raise InputError(f"'{path}' is no vocabulary; it must be one object from labels to whole numbers.")
    labels = sorted(content, key=lambda label: (content[label], label))
    for number, label in enumerate(labels):
        if content[label] != number:
            raise InputError(f"'{path}': no label has the number {number}; all from 0 to {len(labels) - 1} are needed.")
    return labels


def read_flashlight_tokens(path: str | Path, *, blank: str = "-", silence: str = "|") -> Writing:
    """flashlight's `tokens.txt` with its names for the blank and for what parts words."""
    labels = read_tokens(path)
    if blank not in labels:
        raise InputError(f"'{path}' has no label {blank!r} for the blank; pass blank= with the one it has.")
    return Writing(labels, labels.index(blank), {silence: " "} if silence in labels else {}, "")


def read_folder(folder: str | Path) -> tuple[Alphabet, Path | None, list[str], dict[str, Any]]:
    """pyctcdecode's folder: alphabet, the model's file if there is one, unigrams, and numbers by name."""
    folder = Path(folder)
    content = _json(folder / ALPHABET)
    fits = isinstance(content, dict) and set(content) == {"labels", "is_bpe"} and isinstance(content["labels"], list)
    if not fits or not all(isinstance(label, str) for label in content["labels"]):
        raise InputError(f"'{folder / ALPHABET}' is no alphabet; it must be an object with labels and is_bpe.")
    alphabet = Alphabet(content["labels"], bool(content["is_bpe"]))
    inside = folder / MODEL
    if not inside.is_dir():
        return alphabet, None, [], dict(NUMBERS)
    numbers = _json(inside / ATTRIBUTES)
    if not isinstance(numbers, dict) or set(numbers) != set(NUMBERS):
        raise InputError(f"'{inside / ATTRIBUTES}' must be an object with {', '.join(NUMBERS)}.")
    for name, value in numbers.items():
        if not isinstance(value, bool if name == "score_boundary" else (int, float)):
            raise InputError(f"'{inside / ATTRIBUTES}': {name} is {value!r}, which is no number or no truth value.")
    models = [p for p in sorted(inside.iterdir()) if p.name not in (ATTRIBUTES, UNIGRAMS) and p.name[0] not in "._"]
    if len(models) != 1:
        raise InputError(f"'{inside}' has {len(models)} files that could be the model; one is needed.")
    return alphabet, models[0], _text(inside / UNIGRAMS).splitlines(), numbers


def write_folder(
    folder: str | Path,
    alphabet: Alphabet,
    model: "LanguageModel | None",
    source: Path | None,
    unigrams: list[str],
    numbers: dict[str, Any],
) -> None:
    """Write what pyctcdecode and `read_folder` read. A model that is no ARPA file or KenLM binary becomes ARPA."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / ALPHABET, json.dumps({"labels": alphabet.labels, "is_bpe": alphabet.is_bpe}))
    if model is None:
        return
    inside = folder / MODEL
    inside.mkdir(exist_ok=True)
    write_atomic(inside / ATTRIBUTES, json.dumps(numbers))
    write_atomic(inside / UNIGRAMS, "".join(word + "\n" for word in unigrams))
    if source is not None and source.suffix in (".arpa", ".bin", ".binary"):
        if source.resolve() != (inside / source.name).resolve():
            shutil.copyfile(source, inside / source.name)
    else:
        name = source.name.split(".")[0] if source is not None else "model"
        model.save(inside / f"{name}.arpa")


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not UTF-8 ({error}); save it as UTF-8.") from error
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror or error}).") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"'{path}' is no JSON ({error}).") from error
