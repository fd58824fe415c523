"""The report of a tagger, and all of its training from data to a finished folder."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from karussell.data.labelled import Example
from karussell.report.measures import Measure
from karussell.report.plots import Panel, curve
from karussell.report.tagging import TaggedSequence, TaggingReport, tagging_page
from karussell.tasks.config import to_json
from karussell.tasks.tag.config import TaggerConfig
from karussell.tasks.tag.score import is_chunked
from karussell.tasks.tagger import Tagger, held_out
from karussell.tasks.task import complete
from karussell.train import Progress

# sequences that are shown, and types
WORST, TYPES = 12, 24


def train_tagger(
    train: Sequence[Example],
    valid: Sequence[Example] | None,
    out: Path,
    config: TaggerConfig | None = None,
    *,
    title: str = "",
    overwrite: bool = False,
    progress: Progress | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Train on sequences, measure on `valid` or a share held out, leave the model folder; gives its result.json."""
    started = time.monotonic()
    if not valid:
        train, valid = held_out(train, (config or TaggerConfig()).valid_share)
    model = Tagger.fit(train, valid, out, config, overwrite=overwrite, progress=progress)
    evaluation = model.evaluate(valid)
    page = tagger_page(model, valid, evaluation, title=title or out.name)
    return complete(model, out, evaluation, page, total=time.monotonic() - started, notes=notes)


def tagger_page(model: Tagger, data: Sequence[Example], evaluation: dict[str, Any], *, title: str) -> str:
    """One HTML file about sequences with labels and their evaluation."""
    said = [answer.labels for answer in model.predict(data)]
    truth = [example.tags or () for example in data]
    counts = Counter(pair for one, other in zip(truth, said, strict=True) for pair in zip(one, other, strict=True))
    errors = [sum(a != b for a, b in zip(one, other, strict=True)) for one, other in zip(truth, said, strict=True)]
    order = sorted(range(len(data)), key=lambda k: (-errors[k], data[k].id))
    types = sorted(evaluation.get("types", {}).items(), key=lambda item: (-item[1]["there"], item[0]))
    return tagging_page(
        TaggingReport(
            title=title,
            summary=f"{len(model.labels)} labels, {evaluation['sequences']:,} sequences that were not trained on.",
            facts=_facts(model),
            measures=tuple(_measure(values) for values in evaluation["scores"]),
            panels=_panels(model),
            types=tuple((kind, part["f1"], part["there"]) for kind, part in types[:TYPES]),
            labels=tuple(sorted({*model.labels, *(tag for tags in truth for tag in tags)})),
            confusions=counts,
            worst=tuple(_sequence(data[k], said[k]) for k in order[:WORST] if errors[k]),
            config=to_json(model.config),
        )
    )


def _sequence(example: Example, said: tuple[str, ...]) -> TaggedSequence:
    words = example.columns[0] if example.columns else tuple(str(step + 1) for step in range(example.steps))
    return TaggedSequence(example.id, words, example.tags or (), said)


def _measure(values: dict[str, Any]) -> Measure:
    return Measure(**{name: values[name] for name in Measure.__dataclass_fields__ if name in values}, data="held out")


def _facts(model: Tagger) -> tuple[tuple[str, str], ...]:
    rows = [("Weights", f"{sum(weight.numel() for weight in model.network.parameters()):,}")]
    if model.inputs.columns:
        rows.append(("Words known", f"{len(model.inputs.columns[0].known):,}"))
    if model.history is not None:
        rows = [("Trained in", f"{model.history.seconds:.0f} s"), ("Steps", f"{model.history.steps:,}"), *rows]
    return tuple(rows)


def _panels(model: Tagger) -> tuple[Panel, ...]:
    history = model.history
    if history is None:
        return ()
    judged = "1 - F1" if is_chunked(model.labels) else "Error"
    best = [row["epoch"] for row in history.rows if row["step"] == history.best_step and "valid_score" in row]
    mark = float(best[-1]) if best else None
    return (
        Panel("Training loss", (curve(history.rows, "epoch", "loss", "a step"),), mark=mark),
        Panel(judged, (curve(history.rows, "epoch", "valid_score", "held out"),), percent=True, mark=mark),
    )
