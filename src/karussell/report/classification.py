"""The report of a trained classifier: how well it does, what it confuses, how sure it is, where its evidence lies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from karussell.report.blocks import facts, figure, heat, settings
from karussell.report.drawing import responsive
from karussell.report.evidence import reliability_plot, series_evidence, word_evidence
from karussell.report.measures import Measure, measure_cards, measure_plot
from karussell.report.page import Html, Page, join, text
from karussell.report.plots import Panel, learning_curves

# a table with more labels than this cannot be read: only those with the most errors are shown
LABELS = 18


@dataclass(frozen=True)
class Shown:
    """One sequence with its evidence: measurements [T, C] or words, and what each step says for the answer, in nats."""

    id: str
    truth: str
    answer: str
    confidence: float
    evidence: tuple[float, ...]
    values: np.ndarray | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassificationReport:
    """Everything the page shows; every part may be missing, and its section then is too."""

    title: str
    summary: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    measures: tuple[Measure, ...] = ()
    panels: tuple[Panel, ...] = ()
    labels: tuple[str, ...] = ()
    confusions: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Counts of (truth, answer)."""
    reliability: tuple[tuple[float, float, int], ...] = ()
    """(mean confidence, share right, count) of bins of confidence."""
    calibration_error: float | None = None
    examples: tuple[Shown, ...] = ()
    worst: tuple[Shown, ...] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    footer: str = "Written by Karussell."


def classification_page(report: ClassificationReport) -> str:
    """Return the report as one HTML file without anything from outside."""
    page = Page(report.title, kicker="Classification report", lead=report.summary, footer=report.footer)
    if report.measures:
        page.open_with(measure_cards(report.measures))
    if report.facts:
        page.open_with(facts(report.facts))
    if report.measures:
        page.add("Scores", measure_plot(report.measures))
    if report.panels:
        page.add("Learning curves", learning(report.panels))
    if report.confusions:
        page.add("Confusions", confusion_table(report.labels, report.confusions))
    if report.reliability:
        page.add("Calibration", _calibration(report))
    if report.examples:
        page.add(
            "Where the evidence lies",
            join([_shown(example) for example in report.examples]),
            lead="What each step says for the answer (blue) or against it (red): integrated gradients of its "
            "log-probability, in nats. They sum to the difference from an empty sequence.",
        )
    if report.worst is not None:
        page.add("Most confident errors", _worst(report.worst))
    if report.config:
        page.add("Configuration", settings(report.config))
    return page.html()


def learning(panels: Sequence[Panel]) -> Html:
    """Learning curves with a caption that says their last values."""
    said = []
    for panel in panels:
        for line in panel.curves:
            if line.y:
                last = f"{100 * line.y[-1]:.1f}\u202f%" if panel.percent else f"{line.y[-1]:.3g}"
                said.append(f"{panel.title}, {line.name}: {last} at the end.")
    marks = sorted({panel.mark for panel in panels if panel.mark is not None})
    kept = f" The dotted line marks epoch {marks[0]:g}, whose weights were kept." if marks else ""
    plot = responsive(lambda width: learning_curves(panels, width), f"Learning curves. {' '.join(said)}")
    return figure(plot, " ".join(said) + kept)


def confusion_table(labels: Sequence[str], counts: Mapping[tuple[str, str], int]) -> Html:
    """What was taken for what; of many labels those with the most errors."""
    wrong = sorted(((-n, pair) for pair, n in counts.items() if pair[0] != pair[1] and n))
    blame: dict[str, int] = {}
    for n, pair in wrong:
        for label in pair:
            blame[label] = blame.get(label, 0) - n
    shown = tuple(labels)
    note = ""
    if len(labels) > LABELS:
        kept = set(sorted(labels, key=lambda label: (-blame.get(label, 0), label))[:LABELS])
        shown = tuple(label for label in labels if label in kept)
        note = f" Shown are the {LABELS} labels with the most errors, of {len(labels)}."
    rows = [(truth, [counts.get((truth, said), 0) for said in shown]) for truth in shown]
    table = heat(shown, rows, rows_are="truth", columns_are="answer")
    most = "; ".join(f"{a} taken for {b} ({-n} {'time' if n == -1 else 'times'})" for n, (a, b) in wrong[:5])
    return figure(table, f"{f'Most frequent: {most}.' if most else 'Nothing was confused.'}{note}")


def _calibration(report: ClassificationReport) -> Html:
    said = "; ".join(f"{sure:.2f} is right {right:.2f} of the time" for sure, right, _ in report.reliability)
    plot = responsive(lambda width: reliability_plot(report.reliability, width), f"Calibration: confidence {said}.")
    error = report.calibration_error
    caption = "Answers by their confidence, and how many of them are right; larger points are more answers. "
    caption += "On the dashed line the confidence means what it says; its temperature was found on these same answers."
    if error is not None:
        caption += f" Expected calibration error: {100 * error:.1f}\u202f%."
    return figure(plot, caption)


def _shown(example: Shown) -> Html:
    said = f"{example.id}: {example.answer}, confidence {example.confidence:.2f}"
    return figure(_drawn(example, said), said)


def _drawn(example: Shown, said: str) -> Html:
    if example.values is None:
        return word_evidence(example.words, example.evidence)
    values = example.values
    return responsive(lambda width: series_evidence(values, example.evidence, width), f"Evidence in {said}.")


def _worst(worst: Sequence[Shown]) -> Html:
    if not worst:
        return Html("<p>No sequence has a wrong answer.</p>")
    items = []
    for example in worst:
        detail = f"it is {example.truth}; answered {example.answer} with confidence {example.confidence:.2f}"
        items.append(
            Html(
                f'<li>\n<div class="top"><h3>{text(example.id)}</h3><p class="detail">{text(detail)}</p></div>\n'
                f"{_drawn(example, detail)}\n</li>"
            )
        )
    return Html(f'<ol class="worst">\n{join(items)}\n</ol>')
