"""A transcriber from data to a finished folder: trained, measured beside a floor, reported."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from karussell.ctc import label_error_rate
from karussell.data.files import write_atomic
from karussell.data.manifest import Utterance
from karussell.errors import InputError
from karussell.tasks.config import TranscriberConfig
from karussell.tasks.folder import REPORT, RESULT, finish, write_json
from karussell.tasks.reporting import Measured, report_page
from karussell.tasks.transcriber import Transcriber
from karussell.train import Progress


def train_transcriber(
    train: Sequence[Utterance],
    valid: Sequence[Utterance],
    out: Path,
    config: TranscriberConfig,
    *,
    title: str = "",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train on utterances, measure on `valid`, and leave the whole model folder; the result is also its result.json.

    The floor beside the error rate is the most frequent training transcript, given as the answer to everything.
    """
    started = time.monotonic()
    model = Transcriber.fit(train, valid, out, config, overwrite=overwrite, progress=progress)
    hypotheses = model.transcribe(valid)
    assert model.history is not None
    result: dict[str, Any] = {
        "seconds": round(model.history.seconds, 2),
        "total_seconds": round(time.monotonic() - started, 2),
        "steps": model.history.steps,
        "best_step": model.history.best_step,
        "stopped": model.history.stopped,
        "weights": sum(weight.numel() for weight in model.network.parameters()),
        "train": {"utterances": len(train), "seconds": round(sum(u.seconds() for u in train), 1)},
        "valid": model.score(valid, hypotheses) | {"floor": constant_floor(train, valid, model)},
    }
    measured = [Measured("Validation data", result["valid"], "always the most frequent transcript")]
    page = report_page(model, valid, hypotheses, measured, facts(result), title=title or out.name)
    write_atomic(out / REPORT, page)
    write_json(out / RESULT, result)
    finish(out)
    return result


def facts(result: dict[str, Any]) -> list[tuple[str, str]]:
    """The short facts of a run for people."""
    return [
        ("Trained in", f"{result['seconds']:.0f} s"),
        ("Steps", f"{result['steps']:,}"),
        ("Weights", f"{result['weights']:,}"),
        ("Training recordings", f"{result['train']['utterances']:,}"),
    ]


def constant_floor(train: Sequence[Utterance], test: Sequence[Utterance], model: Transcriber) -> float:
    """The label error rate of answering everything with the most frequent training transcript."""
    counts = Counter(model.config.texts(utterance.text) for utterance in train)
    # among equals the first of the alphabet, so that the order of the data does not matter
    answer = min(counts, key=lambda text: (-counts[text], text))
    encode = model.vocabulary.encode
    references = [encode(model.config.texts(utterance.text)) for utterance in test]
    return label_error_rate(references, [encode(answer)] * len(test), resamples=1).rate


def hold_out(utterances: Sequence[Utterance], share: float, seed: int) -> tuple[list[Utterance], list[Utterance]]:
    """Set a share of the utterances apart for validation, at least one; a pure function of their ids and the seed."""
    if len(utterances) < 2:
        raise InputError("one recording is not enough: one is trained on, and another one validates; add recordings")
    if not 0 < share < 1:
        raise InputError(f"--valid_share is {share}; it must lie between 0 and 1")
    order = sorted(range(len(utterances)), key=lambda k: utterances[k].id)
    chosen = np.random.default_rng(seed).permutation(len(order))[: max(1, round(share * len(order)))]
    apart = {order[k] for k in chosen.tolist()}
    return (
        [utterance for k, utterance in enumerate(utterances) if k not in apart],
        [utterance for k, utterance in enumerate(utterances) if k in apart],
    )
