"""Spoken digits, start to finish: trained on the official split, and once more without one of the speakers."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from karussell.ctc import Hypothesis, label_error_rate
from karussell.data.audio import write_audio
from karussell.data.augment import Augment
from karussell.data.digits import OFFICIAL, RATE, SPEAKERS, VOCABULARY, split, strings
from karussell.data.features import FilterBank
from karussell.data.files import write_atomic
from karussell.data.floor import NearestNeighbour
from karussell.data.manifest import Utterance
from karussell.errors import InputError
from karussell.tasks.config import TranscriberConfig
from karussell.tasks.folder import REPORT, RESULT, finish, remove_run, write_json
from karussell.tasks.network import NetworkConfig
from karussell.tasks.reporting import Measured, report_page
from karussell.tasks.transcriber import Transcriber
from karussell.train import History, Progress, TrainConfig

RECIPE = TranscriberConfig(
    features=FilterBank(rate=RATE, bands=32),
    augment=Augment(
        tempo=0.3, wobble=0.4, noise=0.25, snr_db=(15.0, 45.0), reverb=0.1, frequency_masks=0, time_masks=0.0
    ),
    network=NetworkConfig(hidden=128, layers=1, dropout=0.2),
    train=TrainConfig(epochs=30, learning_rate=3e-3, warmup=0.15, final=0.001, clip=2.0, ema=0.99, validate_epochs=5),
    batch_size=16,
    floor_db=-30.0,
)
# the seeds of strings that never change, so that figures can be compared
TEST_SEED, VALID_SEED = 2006, 1997
# how often each recording takes part in a test string
ROUNDS = {OFFICIAL: 4, "speaker": 2}
FLOOR = "1-nearest neighbour, told where each digit lies"
EXAMPLE = "example.wav"


def held_out_strings(name: str) -> list[Utterance]:
    """The test strings of the official split, or of a speaker left out; always the same."""
    return strings(split(name).test, TEST_SEED, rounds=ROUNDS.get(name, ROUNDS["speaker"]))


def train_digits(
    out: Path, config: TranscriberConfig, speaker: str = "theo", *, overwrite: bool = False
) -> dict[str, Any]:
    """Train on the official split and without one speaker, and measure both; the result is also result.json.

    `out` becomes the model folder of the official split, with the other one inside, and a recording to try.
    """
    _check_speaker(speaker)
    started = time.monotonic()
    official = _train(out, config, OFFICIAL, overwrite)
    inner = out / f"without-{speaker}"
    unseen = _train(inner, config, speaker, overwrite)
    earlier = official.history.earlier + unseen.history.earlier
    result: dict[str, Any] = {
        "seconds": round(time.monotonic() - started + earlier, 1),
        "official": official.result,
        "unseen_speaker": {"speaker": speaker, **unseen.result},
        **_run_facts(official),
    }
    _write(inner, unseen, [_measured(unseen)], f"Spoken digits without {speaker}")
    _write(out, official, [_measured(official), _measured(unseen)], "Spoken digits", result)
    example = max(official.data, key=lambda utterance: (len(utterance.text) == 5, utterance.id))
    write_audio(out / EXAMPLE, example.samples(RATE), RATE)
    for folder in (out, inner):
        finish(folder)
    return result | {"example": example.text}


def leave_one_out(
    out: Path, config: TranscriberConfig, *, overwrite: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Leave out each speaker in turn; speakers that are done in `out` are kept. The result is also result.json."""
    speakers: dict[str, Any] = {}
    for speaker in SPEAKERS:
        folder = out / f"without-{speaker}"
        if overwrite:
            remove_run(folder)
        done = folder / RESULT
        if not done.exists():
            run = _train(folder, config, speaker, overwrite=False)
            result = {**run.result, "seconds": round(run.history.seconds, 1), **_run_facts(run)}
            _write(folder, run, [_measured(run)], f"Spoken digits without {speaker}", result)
            finish(folder)
        speakers[speaker] = json.loads(done.read_text())
        say(f"{speaker}: {100 * speakers[speaker]['ler']:.2f} %, floor {100 * speakers[speaker]['floor']:.2f} %")
    result = {
        "seconds": round(sum(found["seconds"] for found in speakers.values()), 1),
        "mean": {name: sum(found[name] for found in speakers.values()) / len(speakers) for name in ("ler", "floor")},
        "speakers": speakers,
    }
    write_json(out / RESULT, result)
    return result


@dataclass(frozen=True)
class _Run:
    """One trained split: the model, how it was trained, and what it made of its test strings."""

    name: str
    model: Transcriber
    history: History
    data: list[Utterance]
    hypotheses: list[Hypothesis]
    result: dict[str, Any]


def _train(out: Path, config: TranscriberConfig, name: str, overwrite: bool) -> _Run:
    parts = split(name)
    model = Transcriber.fit(
        strings(parts.train, config.train.seed),
        strings(parts.valid, VALID_SEED),
        out,
        config,
        vocabulary=VOCABULARY,
        fresh=lambda epoch: strings(parts.train, config.train.seed, epoch=epoch),
        overwrite=overwrite,
        progress=Progress(name if name == OFFICIAL else f"without {name}"),
    )
    assert model.history is not None
    data = held_out_strings(name)
    hypotheses = model.transcribe(data)
    floor = label_error_rate([u.text for u in data], NearestNeighbour(parts.train).texts(data))
    floors = {"floor": floor.rate, "floor_low": floor.low, "floor_high": floor.high}
    return _Run(name, model, model.history, data, hypotheses, model.score(data, hypotheses) | floors)


def _run_facts(run: _Run) -> dict[str, Any]:
    weights = sum(weight.numel() for weight in run.model.network.parameters())
    return {"steps": run.history.steps, "weights": weights, "threads": torch.get_num_threads()}


def _measured(run: _Run) -> Measured:
    name = "Speakers it knows" if run.name == OFFICIAL else f"A speaker it never heard: {run.name}"
    return Measured(name, run.result, FLOOR, f"{len(run.data)} strings of 1 to 7 digits")


def _write(folder: Path, run: _Run, measured: list[Measured], title: str, result: dict[str, Any] | None = None) -> None:
    facts = [
        ("Trained in", f"{run.history.seconds:.0f} s"),
        ("Steps", f"{run.history.steps:,}"),
        ("Weights", f"{_run_facts(run)['weights']:,}"),
        ("Training recordings", f"{len(split(run.name).train):,}"),
    ]
    page = report_page(run.model, run.data, run.hypotheses, measured, facts, title=title)
    write_atomic(folder / REPORT, page)
    write_json(folder / RESULT, result or {**run.result, "seconds": round(run.history.seconds, 1), **_run_facts(run)})


def _check_speaker(speaker: str) -> None:
    if speaker not in SPEAKERS:
        raise InputError(f"there is no speaker {speaker!r} in the digits; choose one of {', '.join(SPEAKERS)}")
