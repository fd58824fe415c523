"""The report of a classifier, and all of its training from data to a finished folder."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from karussell.data.labelled import Example
from karussell.report.classification import ClassificationReport, Shown, classification_page
from karussell.report.measures import Measure
from karussell.report.plots import Panel, curve
from karussell.tasks.classifier import Classifier
from karussell.tasks.classify.calibration import reliability
from karussell.tasks.classify.config import ClassifierConfig
from karussell.tasks.config import to_json
from karussell.tasks.task import complete
from karussell.train import Progress

# sequences whose evidence is shown, one a label, and wrong ones
SHOWN, WORST = 4, 4
HELD_OUT = "held out"


def train_classifier(
    train: Sequence[Example],
    valid: Sequence[Example] | None,
    out: Path,
    config: ClassifierConfig | None = None,
    *,
    title: str = "",
    overwrite: bool = False,
    progress: Progress | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Train on sequences, measure on those not trained on, and leave the whole model folder; gives its result.json."""
    started = time.monotonic()
    model = Classifier.fit(train, valid, out, config, overwrite=overwrite, progress=progress)
    assert model.held_out is not None
    page = classifier_page(model, valid or train, model.held_out, model.validation, title=title or out.name)
    return complete(model, out, model.validation, page, total=time.monotonic() - started, notes=notes)


def classifier_page(
    model: Classifier, data: Sequence[Example], rows: Tensor, evaluation: dict[str, Any], *, title: str
) -> str:
    """One HTML file about sequences with labels, the probabilities [N, K] of their answers, and their evaluation."""
    places = {label: k for k, label in enumerate(model.labels)}
    truth = [str(example.label) for example in data]
    said = [model.labels[k] for k in rows.argmax(1).tolist()]
    sure = rows.max(1).values.tolist()
    wrong = sorted((k for k in range(len(data)) if said[k] != truth[k]), key=lambda k: (-sure[k], data[k].id))
    right: dict[str, int] = {}
    for k in sorted(range(len(data)), key=lambda k: (-sure[k], data[k].id)):
        if said[k] == truth[k]:
            right.setdefault(truth[k], k)
    answers = rows.new_tensor([places.get(label, -1) for label in truth]).long()
    unknown = [label for label in sorted(set(truth)) if label not in places]
    return classification_page(
        ClassificationReport(
            title=title,
            summary=f"{len(model.labels)} labels, {evaluation['sequences']:,} sequences that were not trained on.",
            facts=_facts(model, evaluation),
            measures=tuple(_measure(values) for values in evaluation["scores"]),
            panels=_panels(model),
            labels=(*model.labels, *unknown),
            confusions=Counter(zip(truth, said, strict=True)),
            reliability=tuple(reliability(rows, answers)),
            calibration_error=evaluation["calibration_error"],
            examples=tuple(_shown(model, data[k], said[k], sure[k]) for k in list(right.values())[:SHOWN]),
            worst=tuple(_shown(model, data[k], said[k], sure[k]) for k in wrong[:WORST]),
            config=to_json(model.config),
        )
    )


def _shown(model: Classifier, example: Example, said: str, sure: float) -> Shown:
    weight = tuple(model.evidence(example, said))
    words = example.columns[0] if example.columns else ()
    return Shown(example.id, str(example.label), said, sure, weight, example.values, words)


def _measure(values: dict[str, Any]) -> Measure:
    return Measure(**{name: values[name] for name in Measure.__dataclass_fields__ if name in values}, data=HELD_OUT)


def _facts(model: Classifier, evaluation: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    rows = [
        ("Networks", str(model.config.members)),
        ("Weights", f"{sum(weight.numel() for weight in model.network.parameters()):,}"),
        ("Temperature", f"{model.temperature:.2f}"),
        ("Most frequent label", f"{100 * evaluation['majority']:.1f} % of the sequences"),
    ]
    if model.history is not None:
        rows = [("Trained in", f"{model.history.seconds:.0f} s"), ("Steps", f"{model.history.steps:,}"), *rows]
    return tuple(rows)


def _panels(model: Classifier) -> tuple[Panel, ...]:
    history = model.history
    if history is None:
        return ()
    best = [row["epoch"] for row in history.rows if row["step"] == history.best_step and "valid_score" in row]
    mark = float(best[-1]) if best else None
    return (
        Panel("Training loss", (curve(history.rows, "epoch", "loss", "all networks"),), mark=mark),
        Panel("Error", (curve(history.rows, "epoch", "valid_error", HELD_OUT),), percent=True, mark=mark),
    )
