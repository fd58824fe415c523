"""The report of a transcriber: what it was, how it learned, where it goes wrong."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from karussell.ctc import Hypothesis, align, confusions
from karussell.data.manifest import Utterance
from karussell.errors import require
from karussell.report import (
    Clip,
    Confusions,
    Panel,
    Rate,
    Score,
    Spikes,
    TranscriptionReport,
    WorstUtterance,
    curve,
    transcription_page,
)
from karussell.tasks.config import to_json
from karussell.tasks.transcriber import Transcriber

WORST = 12
# seconds of the utterance whose spikes are drawn: longer ones crowd
SPIKE_SECONDS = (1.5, 5.0)


@dataclass(frozen=True)
class Measured:
    """Error rates as `Transcriber.evaluate` gives them, with a `floor`, under the name they are shown by."""

    name: str
    result: dict[str, Any]
    floor_name: str
    note: str = ""


def report_page(
    model: Transcriber,
    data: Sequence[Utterance],
    hypotheses: Sequence[Hypothesis],
    measured: Sequence[Measured],
    facts: Sequence[tuple[str, str]],
    *,
    title: str,
    summary: str = "",
) -> str:
    """One HTML file; spikes, confusions and worst utterances are those of `data`."""
    references = [_labels(model, model.config.texts(utterance.text)) for utterance in data]
    found = [[model.vocabulary.decode([token]) for token in hypothesis.tokens] for hypothesis in hypotheses]
    pairs = [align(reference, labels) for reference, labels in zip(references, found, strict=True)]
    errors = [sum(said != heard for said, heard in pair) for pair in pairs]
    order = sorted(range(len(data)), key=lambda k: (-errors[k] / max(1, len(references[k])), -errors[k], data[k].id))
    return transcription_page(
        TranscriptionReport(
            title=title,
            summary=summary,
            facts=tuple(facts),
            scores=tuple(_score(item) for item in measured),
            panels=_panels(model),
            spikes=_spikes(model, data, hypotheses),
            confusions=Confusions(tuple(model.vocabulary.symbols), confusions(references, found)),  # type: ignore[arg-type]
            worst=tuple(
                WorstUtterance(data[k].id, pairs[k], _detail(data[k]), clip(model, data[k]))  # type: ignore[arg-type]
                for k in order[:WORST]
                if errors[k]
            ),
            config=to_json(model.config),
        )
    )


def clip(model: Transcriber, utterance: Utterance) -> Clip:
    """The sound of an utterance as flac."""
    buffer = io.BytesIO()
    rate = model.config.features.rate
    require("soundfile", extra="audio").write(buffer, utterance.samples(rate), rate, format="FLAC")
    return Clip(buffer.getvalue(), "audio/flac")


def _labels(model: Transcriber, text: str) -> list[str]:
    return list(text) if model.vocabulary.unit == "character" else text.split()


def _score(item: Measured) -> Score:
    found = item.result
    floor = Rate(found["floor"], found.get("floor_low"), found.get("floor_high"))
    return Score(item.name, Rate(found["ler"], found["low"], found["high"]), floor, item.floor_name, item.note)


def _panels(model: Transcriber) -> tuple[Panel, ...]:
    history = model.history
    if history is None:
        return ()
    best = [row["epoch"] for row in history.rows if row["step"] == history.best_step and "valid_score" in row]
    mark = float(best[-1]) if best else None
    losses = (
        curve(history.rows, "epoch", "loss", "training"),
        curve(history.rows, "epoch", "valid_loss", "validation"),
    )
    rates = (curve(history.rows, "epoch", "valid_ler", "validation"),)
    return (
        Panel("Loss", losses, log=True, mark=mark),
        Panel("Label error rate", rates, percent=True, mark=mark),
    )


def _spikes(model: Transcriber, data: Sequence[Utterance], hypotheses: Sequence[Hypothesis]) -> Spikes | None:
    """The utterance of a good length to look at that has the most labels."""
    low, high = SPIKE_SECONDS
    lengths = [utterance.seconds() for utterance in data]
    fitting = [k for k, seconds in enumerate(lengths) if low <= seconds <= high]
    fitting = fitting or [k for k, seconds in enumerate(lengths) if seconds <= model.config.longest]
    if not fitting:
        return None
    chosen = max(fitting, key=lambda k: (len(hypotheses[k].tokens), data[k].id))
    utterance = data[chosen]
    samples = utterance.samples(model.config.features.rate)
    [log_probs] = model.posteriors([samples])
    return Spikes(
        id=utterance.id,
        features=model.features.bank(samples),
        probabilities=np.exp(log_probs.numpy()),
        symbols=model.vocabulary.symbols,
        seconds=len(samples) / model.config.features.rate,
        reference=model.config.texts(utterance.text),
        hypothesis=hypotheses[chosen].text,
        blank=model.vocabulary.blank,
        clip=clip(model, utterance),
    )


def _detail(utterance: Utterance) -> str:
    spoken = f" · {utterance.speaker}" if utterance.speaker else ""
    return f"{utterance.seconds():.1f} s{spoken}"
