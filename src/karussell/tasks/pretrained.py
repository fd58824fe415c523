"""Model folders in the hub's conventions: config.json, model.safetensors, and a card made from the run."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from karussell.data.files import write_atomic
from karussell.errors import InputError
from karussell.runtime.folder import read_json

if TYPE_CHECKING:
    from karussell.tasks.transcriber import Transcriber

CARD, RESULT = "README.md", "result.json"


def save_pretrained(model: "Transcriber", folder: Path, run: Path | None) -> None:
    """Write the model and its card into `folder`.

    With `run`, the folder that training has left, the card shows the figures of its result.json; without, it says that
    nothing was measured.
    """
    result = read_json(run / RESULT) if run is not None else {}
    model.save(folder)
    write_atomic(folder / CARD, card(model, result, folder.name))


def local(folder: Path | str) -> Path:
    """The folder, if there is one; InputError with the way out if this is the name of something on a hub."""
    path = Path(folder)
    if not path.is_dir() and str(folder).count("/") == 1 and not path.is_absolute():
        raise InputError(
            f"there is no folder '{folder}', and nothing is fetched from a hub here; "
            f"get it first: huggingface-cli download {folder} --local-dir {path.name}"
        )
    return path


def card(model: "Transcriber", result: dict[str, Any], name: str) -> str:
    """The model card: what it is, what was measured, how to use it, how it was made."""
    network, bank = model.config.network, model.config.features
    both = "both directions" if network.bidirectional else "one direction"
    weights = sum(weight.numel() for weight in model.network.parameters())
    lines = [
        "---",
        "library_name: karussell",
        "pipeline_tag: automatic-speech-recognition",
        "tags: [karussell, lstm, ctc]",
        "---",
        "",
        f"# {name}",
        "",
        f"Speech to text: {network.layers} LSTM layer{'s' * (network.layers > 1)} of {network.hidden} units in {both} "
        f"under CTC, {weights:,} weights, for speech at {bank.rate:,} samples a second.",
        f"It writes {model.vocabulary.unit}s: {' '.join(model.vocabulary.symbols)[:200]}",
        "",
        "## Measured",
        "",
        *(_figures(result) or ["Nothing was measured, or it is not known here."]),
        "",
        "## Use",
        "",
        "```python",
        "from karussell.tasks import Transcriber",
        "",
        f'model = Transcriber.from_pretrained("{name}")',
        'print(model.predict("recording.wav").text)',
        "```",
        "",
        "## Training",
        "",
        "```json",
        json.dumps(model._facts()["config"], indent=1, ensure_ascii=False),
        "```",
        "",
    ]
    return "\n".join(lines)


def _figures(result: dict[str, Any]) -> list[str]:
    """A row for every part of a result that has a label error rate."""
    found = [(name, part) for name, part in {"test": result, **result}.items() if isinstance(part, dict)]
    rows = [
        f"| {name.replace('_', ' ')}{' ' + part['speaker'] if 'speaker' in part else ''} | {100 * part['ler']:.2f} % "
        f"| {100 * part['low']:.2f} to {100 * part['high']:.2f} % | {part['utterances']} |"
        for name, part in found
        if all(key in part for key in ("ler", "low", "high", "utterances"))
    ]
    return ["| data | label error rate | 95 % interval | recordings |", "|---|---|---|---|", *rows] if rows else []
