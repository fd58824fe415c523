"""`karussell predict DIR --live` of other tasks than speech: lines on standard input, answers as they become certain.

tag       a step a line: its tokens, or its measurements, parted by blanks, tabs or commas; an empty line ends a
          sequence. Printed: the first token or the step, the label, its confidence
classify  measurements a step a line: an answer every --chunk steps. Words: a text a line, and its answer
forecast  the table's header, then a row a line: after each row the forecasts of its series, as lines of CSV
"""

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from jsonargparse import Namespace

from karussell.cli.command import note
from karussell.errors import InputError, require

CHUNK, RIGHT = 16, 16


def run_live_data(given: Namespace, task: str) -> int:
    """Answer until the input ends; the first line that cannot be used ends it, too."""
    if given.files:
        raise InputError("--live hears standard input; leave the files out")
    if task not in LIVE:
        raise InputError(f"--live runs models of the tasks transcribe, {', '.join(LIVE)}; this one is of '{task}'")
    for answer in LIVE[task](given, _lines()):
        print(answer, flush=True)
    return 0


def _lines() -> Iterator[str]:
    """Lines as they come, not as a buffer fills."""
    while line := sys.stdin.readline():
        yield line.rstrip("\r\n")


def _steps(given: float | None, default: int, name: str) -> int:
    steps = default if given is None else int(given)
    if steps != (given if given is not None else default) or steps < 0:
        raise InputError(f"--{name} is {given:g}; of this task it counts steps, so give a whole number")
    return steps


def _tag(given: Namespace, lines: Iterator[str]) -> Iterator[str]:
    from karussell.tasks.tagger import Tagger

    model = Tagger.load(given.model, device=given.device)
    chunk, right = _steps(given.chunk, CHUNK, "chunk"), _steps(given.right, RIGHT, "right")
    note(f"reading a step a line; answers wait for {chunk + right} steps at most, an empty line ends a sequence")
    read = _words(len(model.inputs.columns)) if model.inputs.columns else _numbers(model.inputs.channels)

    def shown(tags: list) -> Iterator[str]:
        for tag in tags:
            row = {"step": tag.step, "label": tag.label, "confidence": round(tag.confidence, 4)}
            if given.json:
                yield json.dumps(row, ensure_ascii=False)
            else:
                yield f"{names[tag.step] if names else tag.step}\t{tag.label}\t{tag.confidence:.4f}"

    stream, names = model.stream(chunk=chunk, right=right), list[str]()
    for line in lines:
        if line.strip():
            step = read(line)
            if model.inputs.columns:
                names.append(str(step[0]))
            yield from shown(stream.push([step]))
            continue
        yield from shown(stream.finish())
        yield "{}" if given.json else ""
        stream, names = model.stream(chunk=chunk, right=right), []
    yield from shown(stream.finish())


def _classify(given: Namespace, lines: Iterator[str]) -> Iterator[str]:
    from karussell.data.labelled import Example
    from karussell.tasks.classifier import Answer, Classifier

    model = Classifier.load(given.model, device=given.device)

    def shown(name: str, answer: Answer) -> str:
        if given.json:
            shares = {label: round(share, 4) for label, share in answer.probabilities.items()}
            return json.dumps({"id": name, "label": answer.label, "probabilities": shares}, ensure_ascii=False)
        return f"{name}\t{answer.label}\t{answer.confidence:.4f}"

    if model.inputs.columns:
        note("reading a text a line")
        for number, line in enumerate(lines, start=1):
            if line.strip():
                example = Example(str(number), columns=(tuple(line.split()),))
                yield shown(str(number), model.predict([example])[0])
        return
    every = _steps(given.chunk, CHUNK, "chunk")
    note(f"reading a step a line; an answer about all steps so far comes every {every} steps")
    stream, read = model.stream(every=every), _numbers(model.inputs.channels)
    for line in lines:
        if line.strip():
            yield from (shown(str(label.steps), label.answer) for label in stream.push([read(line)]))
    yield from (shown(str(label.steps), label.answer) for label in stream.finish())


def _forecast(given: Namespace, lines: Iterator[str]) -> Iterator[str]:
    from karussell.data.series_read import read_series
    from karussell.tasks.forecaster import Forecaster

    pandas = require("pandas", extra="tables")
    model = Forecaster.load(given.model, device=given.device)
    note(f"reading a row a line after the header; forecasts of {model.config.horizon} steps come after each row")
    stream, header, first = model.stream(), "", True
    for number, line in enumerate(lines, start=1):
        if not header:
            header = line
            continue
        if not line.strip():
            continue
        try:
            frame = pandas.read_csv(io.StringIO(f"{header}\n{line}\n"), sep="\t" if "\t" in header else ",")
        except ValueError as error:
            raise InputError(f"line {number} is no row of the table ({error})") from error
        values = () if model.config.table.wide else (model.config.table.target,)
        rows, _, _ = read_series(frame, model.config.table, values=values, step=model.facts.step)
        found = stream.push(rows)
        if given.json:
            yield from found.to_json(orient="records", lines=True, date_format="iso").splitlines()
        else:
            yield from found.to_csv(index=False, header=first, float_format="%.6g").splitlines()
        first = False


def _words(count: int) -> Callable[[str], tuple[str, ...]]:
    def read(line: str) -> tuple[str, ...]:
        found = tuple(line.split())
        if len(found) < count:
            raise InputError(f"the line {line[:80]!r} has {len(found)} tokens, and the model needs {count} a step")
        return found[:count]

    return read


def _numbers(count: int) -> Callable[[str], list[float]]:
    def read(line: str) -> list[float]:
        cells = line.replace(",", " ").replace(";", " ").split()
        try:
            found = [float("nan") if cell in ("?", "nan", "NaN") else float(cell) for cell in cells]
        except ValueError as error:
            raise InputError(f"the line {line[:80]!r} is no row of numbers ({error})") from error
        if len(found) != count:
            raise InputError(f"the line {line[:80]!r} has {len(found)} numbers, and the model needs {count} a step")
        return found

    return read


LIVE: dict[str, Callable[[Namespace, Iterator[str]], Iterator[str]]] = {
    "tag": _tag,
    "classify": _classify,
    "forecast": _forecast,
}


def task_of(folder: Path) -> str:
    """The task of a model folder, without torch."""
    from karussell.runtime.folder import CONFIG, read_json

    if not folder.is_dir():
        raise InputError(f"there is no model folder '{folder}'; check the path")
    return str(read_json(folder / CONFIG).get("task"))
