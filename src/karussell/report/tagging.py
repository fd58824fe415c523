"""The report of a trained tagger: how well it does, type by type, what it confuses, and its worst sequences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from karussell.report.blocks import facts, figure, settings
from karussell.report.classification import confusion_table, learning
from karussell.report.measures import Measure, measure_cards, measure_plot
from karussell.report.page import Html, Page, join, text
from karussell.report.plots import Panel

# steps of a worst sequence that are shown, from a little before its first error
STEPS = 40


@dataclass(frozen=True)
class TaggedSequence:
    """One sequence: its words (or step numbers), the true labels, and those that were answered."""

    id: str
    words: tuple[str, ...]
    truth: tuple[str, ...]
    answer: tuple[str, ...]


@dataclass(frozen=True)
class TaggingReport:
    """Everything the page shows; every part may be missing, and its section then is too."""

    title: str
    summary: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    measures: tuple[Measure, ...] = ()
    panels: tuple[Panel, ...] = ()
    types: tuple[tuple[str, float, int], ...] = ()
    """(type, F1, how many there are)."""
    labels: tuple[str, ...] = ()
    confusions: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Counts of (truth, answer) over all steps."""
    worst: tuple[TaggedSequence, ...] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    footer: str = "Written by Karussell."


def tagging_page(report: TaggingReport) -> str:
    """Return the report as one HTML file without anything from outside."""
    page = Page(report.title, kicker="Tagging report", lead=report.summary, footer=report.footer)
    if report.measures:
        page.open_with(measure_cards(report.measures))
    if report.facts:
        page.open_with(facts(report.facts))
    if report.measures:
        page.add("Scores", measure_plot(report.measures))
    if report.panels:
        page.add("Learning curves", learning(report.panels))
    if report.types:
        page.add("Types", _types(report.types))
    if report.confusions:
        page.add("Confusions", confusion_table(report.labels, report.confusions))
    if report.worst is not None:
        page.add("Worst sequences", _worst(report.worst))
    if report.config:
        page.add("Configuration", settings(report.config))
    return page.html()


def _types(types: Sequence[tuple[str, float, int]]) -> Html:
    rows = [
        Html(
            f'<tr><th scope="row">{text(name)}</th><td>{count:,}</td><td>{100 * f1:.1f}\u202f%</td>'
            f'<td style="width:40%"><div style="height:.7em;border-radius:.2em;background:var(--accent);'
            f'width:{100 * f1:.1f}%"></div></td></tr>'
        )
        for name, f1, count in types
    ]
    head = "<tr><th>type</th><th>chunks</th><th>F1</th><th></th></tr>"
    table = (
        '<div class="scroll" tabindex="0" role="region" aria-label="Scores by type"><table class="heat" '
        f'style="width:100%">\n<thead>{head}</thead>\n<tbody>\n{join(rows)}\n</tbody></table></div>'
    )
    return figure(Html(table), "F1 of every type of chunk by itself, the most frequent first.")


def _worst(worst: Sequence[TaggedSequence]) -> Html:
    if not worst:
        return Html("<p>No sequence has a wrong label.</p>")
    items = []
    for sequence in worst:
        wrong = [k for k, (a, b) in enumerate(zip(sequence.truth, sequence.answer, strict=True)) if a != b]
        detail = f"{len(wrong)} of {len(sequence.truth)} labels wrong"
        first = max(0, wrong[0] - 3) if wrong and len(sequence.truth) > STEPS else 0
        if len(sequence.truth) > STEPS:
            detail += f"; steps {first + 1} to {min(len(sequence.truth), first + STEPS)}"
        items.append(
            Html(
                f'<li>\n<div class="top"><h3>{text(sequence.id)}</h3><p class="detail">{text(detail)}</p></div>\n'
                f'<div class="row"><div>{_columns(sequence, first)}</div></div>\n</li>'
            )
        )
    return Html(f'<ol class="worst">\n{join(items)}\n</ol>')


def _columns(sequence: TaggedSequence, first: int) -> Html:
    # as high as the lines beside them
    rows = "<span>&nbsp;</span><span>truth</span><span>answer</span>"
    cells = [Html(f'<span class="pair names" style="line-height:1.7">{rows}</span>')]
    part = slice(first, first + STEPS)
    for word, truth, answer in zip(sequence.words[part], sequence.truth[part], sequence.answer[part], strict=True):
        kind = "same" if truth == answer else "other"
        cells.append(
            Html(
                f'<span class="pair {kind}"><span style="font-family:var(--sans)">{text(word)}</span>'
                f"<span>{text(truth)}</span><span>{text(answer)}</span></span>"
            )
        )
    return Html(f'<div class="pairs" style="font-size:.85rem">{join(cells, "")}</div>')
