"""Model folders in the hub's conventions: config.json, model.safetensors, and a card made from the run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from karussell.data.files import write_atomic
from karussell.data.vocabulary import Vocabulary
from karussell.errors import InputError
from karussell.runtime.folder import read_json
from karussell.tasks.config import TranscriberConfig, to_json

CARD, RESULT = "README.md", "result.json"


def write_card(folder: Path, config: TranscriberConfig, vocabulary: Vocabulary, weights: int, run: Path | None) -> None:
    """Write the model card into `folder`.

    With `run`, the folder that training has left, it shows the figures of its result.json; without, it says that
    nothing was measured.
    """
    result = read_json(run / RESULT) if run is not None else {}
    write_atomic(folder / CARD, card(folder.name, config, vocabulary, weights, result))


def local(folder: Path | str) -> Path:
    """The folder, if there is one; InputError with the way out if this is the name of something on a hub."""
    path = Path(folder)
    if not path.is_dir() and str(folder).count("/") == 1 and not path.is_absolute():
        raise InputError(
            f"there is no folder '{folder}', and nothing is fetched from a hub here; "
            f"get it first: huggingface-cli download {folder} --local-dir {path.name}"
        )
    return path


def card(name: str, config: TranscriberConfig, vocabulary: Vocabulary, weights: int, result: Mapping[str, Any]) -> str:
    """What the model is, what was measured, how to use it, how it was made."""
    network, bank = config.network, config.features
    both = "both directions" if network.bidirectional else "one direction"
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
        f"It writes {vocabulary.unit}s: {' '.join(vocabulary.symbols)[:200]}",
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
        json.dumps(to_json(config), indent=1, ensure_ascii=False),
        "```",
        "",
    ]
    return "\n".join(lines)


def _figures(result: Mapping[str, Any]) -> list[str]:
    """A row for every part of a result that has a label error rate."""
    found = [(name, part) for name, part in {"test": result, **result}.items() if isinstance(part, dict)]
    rows = [
        f"| {name.replace('_', ' ')}{' ' + part['speaker'] if 'speaker' in part else ''} | {100 * part['ler']:.2f} % "
        f"| {100 * part['low']:.2f} to {100 * part['high']:.2f} % | {part['utterances']} |"
        for name, part in found
        if all(key in part for key in ("ler", "low", "high", "utterances"))
    ]
    return ["| data | label error rate | 95 % interval | recordings |", "|---|---|---|---|", *rows] if rows else []
