"""The front of every task whose data is a file: forecast, classify, tag. Transcription has its own commands."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from karussell.errors import InputError
from karussell.tasks.front import Front, Job, Say, overridden

if TYPE_CHECKING:
    from karussell.data.labelled import Example
    from karussell.data.series import SeriesSet
    from karussell.tasks.forecaster import Forecaster


def front(name: str) -> Front:
    """The front of a task; InputError names those there are."""
    if name not in FRONTS:
        raise InputError(f"there is no task {name!r}; choose one of transcribe, {', '.join(FRONTS)}")
    return FRONTS[name]


def _forecaster_config() -> type:
    from karussell.tasks.forecast.config import ForecasterConfig

    return ForecasterConfig


def _train_forecaster(job: Job) -> dict[str, Any]:
    from karussell.data.series_read import read_series
    from karussell.tasks.forecast.config import ForecasterConfig
    from karussell.tasks.forecast.reporting import train_forecaster

    config = overridden(ForecasterConfig(), job.settings)
    train, table, values = read_series(job.data, config.table)
    valid = None
    if job.valid is not None:
        valid, _, _ = read_series(job.valid, table, values=values, step=train.step)
    for note in (*train.notes, *(valid.notes if valid is not None else ())):
        job.say(note)
    job.say(f"{len(train):,} series, {train.points:,} values, a step is {train.step.words}")
    config = overridden(config, {"table": {"time": table.time, "id": table.id, "target": table.target}})
    return train_forecaster(train, valid, job.out, config, overwrite=job.overwrite, progress=job.progress)


def _series(model: "Forecaster", source: str, say: Say) -> "SeriesSet":
    from karussell.data.series_read import read_series

    table = model.config.table
    # a wide table may bring other series than those of training
    values = () if table.wide else (table.target,)
    found, _, _ = read_series(source, table, values=values, step=model.facts.step)
    for note in found.notes:
        say(f"'{source}': {note}")
    return found


def _evaluate_forecaster(folder: Path, data: str, history: str | None, device: str, say: Say) -> dict[str, Any]:
    from karussell.tasks.forecaster import Forecaster

    model = Forecaster.load(folder, device=device)
    before = _series(model, history, say) if history else None
    return model.evaluate(_series(model, data, say), history=before)


def _predict_forecaster(folder: Path, files: Sequence[str], device: str, as_json: bool, say: Say) -> Iterator[str]:
    from karussell.tasks.forecaster import Forecaster

    model = Forecaster.load(folder, device=device)
    for number, name in enumerate(files):
        table = model.predict(_series(model, name, say))
        if as_json:
            yield from table.to_json(orient="records", lines=True, date_format="iso").splitlines()
        else:
            yield from table.to_csv(index=False, header=number == 0, float_format="%.6g").splitlines()


def _classifier_config() -> type:
    from karussell.tasks.classify.config import ClassifierConfig

    return ClassifierConfig


def _train_classifier(job: Job) -> dict[str, Any]:
    from karussell.data.labelled_series import read_labelled
    from karussell.tasks.classify.config import defaults
    from karussell.tasks.classify.reporting import train_classifier

    train, valid = _read(job, read_labelled)
    config = overridden(defaults(train), job.settings)
    return train_classifier(train, valid, job.out, config, overwrite=job.overwrite, progress=job.progress)


def _evaluate_classifier(folder: Path, data: str, history: str | None, device: str, say: Say) -> dict[str, Any]:
    from karussell.data.labelled_series import read_labelled
    from karussell.tasks.classifier import Classifier

    _no_history(history)
    found = Classifier.load(folder, device=device).evaluate(read_labelled(data))
    return _strange(found, "sequences", say)


def _predict_classifier(
    folder: Path,
    files: Sequence[str],
    device: str,
    as_json: bool,
    say: Say,  # noqa: ARG001 - every front gets one
) -> Iterator[str]:
    from karussell.data.labelled_series import read_labelled
    from karussell.tasks.classifier import Classifier

    model = Classifier.load(folder, device=device)
    for name in files:
        examples = read_labelled(name)
        for example, answer in zip(examples, model.predict(examples), strict=True):
            if as_json:
                shown = {label: round(share, 4) for label, share in answer.probabilities.items()}
                row = {"id": example.id, "label": answer.label, "probabilities": shown}
                yield json.dumps(row, ensure_ascii=False)
            else:
                yield f"{example.id}\t{answer.label}\t{answer.confidence:.4f}"


def _tagger_config() -> type:
    from karussell.tasks.tag.config import TaggerConfig

    return TaggerConfig


def _train_tagger(job: Job) -> dict[str, Any]:
    from karussell.tasks.tag import config as tag_config
    from karussell.tasks.tag.reporting import train_tagger

    train, valid = _read(job, _tagged)
    config = overridden(tag_config.defaults(train), job.settings)
    return train_tagger(train, valid, job.out, config, overwrite=job.overwrite, progress=job.progress)


def _tagged(path: Path | str, *, labelled: bool = True) -> "list[Example]":
    from karussell.data.columns import read_columns
    from karussell.data.labelled_text import read_labelled_text

    if Path(path).suffix.lower() == ".jsonl":
        return read_labelled_text(path)
    return read_columns(path, labelled=labelled)


def _evaluate_tagger(folder: Path, data: str, history: str | None, device: str, say: Say) -> dict[str, Any]:
    from karussell.tasks.tagger import Tagger

    _no_history(history)
    model = Tagger.load(folder, device=device)
    examples, known = _tagged(data), len(model.inputs.columns)
    if len(examples[0].columns) == known - 1 and Path(data).suffix.lower() != ".jsonl":
        raise InputError(
            f"'{data}' has {known} columns, as many as the model reads, so none is left for labels; to measure, write "
            "the right label last in every line"
        )
    return _strange(model.evaluate(examples), "steps", say)


def _predict_tagger(folder: Path, files: Sequence[str], device: str, as_json: bool, say: Say) -> Iterator[str]:
    from karussell.tasks.tagger import Tagger

    model = Tagger.load(folder, device=device)
    for name in files:
        examples, known = _tagged(name, labelled=False), len(model.inputs.columns)
        if known and len(examples[0].columns) == known + 1:
            say(f"'{name}' has one column more than the model reads; the last is taken for labels and passed over")
            examples = [replace(example, columns=example.columns[:-1]) for example in examples]
        for example, answer in zip(examples, model.predict(examples), strict=True):
            if as_json:
                yield json.dumps({"id": example.id, "tags": list(answer.labels)}, ensure_ascii=False)
                continue
            for k, label in enumerate(answer.labels):
                yield " ".join([*(column[k] for column in example.columns), label])
            yield ""


def _read(job: Job, read: "Callable[[str], list[Example]]") -> "tuple[list[Example], list[Example] | None]":
    train = read(job.data)
    valid = read(job.valid) if job.valid is not None else None
    job.say(f"{len(train):,} sequences to train on" + (f", {len(valid):,} to validate" if valid is not None else ""))
    return train, valid


def _strange(found: dict[str, Any], what: str, say: Say) -> dict[str, Any]:
    count = found["unknown_labels"]
    if count:
        say(f"{count:,} of {found[what]:,} {what} have a label that training never saw; they count as wrong")
    return found


def _no_history(history: str | None) -> None:
    if history is not None:
        raise InputError("--history gives a forecaster the rows before the data; this model needs none: leave it out")


FRONTS = {
    "forecast": Front(
        "forecast",
        _forecaster_config,
        _train_forecaster,
        _evaluate_forecaster,
        _predict_forecaster,
        "LATER --history {data}   # rows that came after",
    ),
    "classify": Front("classify", _classifier_config, _train_classifier, _evaluate_classifier, _predict_classifier),
    "tag": Front("tag", _tagger_config, _train_tagger, _evaluate_tagger, _predict_tagger),
}
