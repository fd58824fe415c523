"""The report of a trained transcriber: how it learned, how well it does, and where it goes wrong.

What goes in are plain results in frozen dataclasses; every part may be missing, and its section then is too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from karussell.errors import InputError
from karussell.report.blocks import Clip, facts, figure, heat, pairs, player, settings
from karussell.report.page import Html, Page, join, text
from karussell.report.plots import Interval, Panel, intervals, learning_curves, responsive, spikes

# base64 characters of sound in one page; a report stays below 3 MB
SOUND = 2_000_000
# a table with more labels than this cannot be read: only those with the most errors are shown
LABELS = 18


@dataclass(frozen=True)
class Rate:
    """An error rate as a share (0.05 is 5 %) and the bounds of its interval, if it has one."""

    rate: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Score:
    """An error rate beside the trivial floor on the same data. `note` says what was counted."""

    name: str
    system: Rate
    floor: Rate | None = None
    floor_name: str = "1-nearest neighbour"
    note: str = ""


@dataclass(frozen=True)
class Spikes:
    """One utterance for the picture: features [frames, bands] and label probabilities [T, K] over the same `seconds`.

    `symbols` are the K - 1 labels without the blank.
    """

    id: str
    features: np.ndarray
    probabilities: np.ndarray
    symbols: tuple[str, ...]
    seconds: float
    reference: str
    hypothesis: str
    blank: int = 0
    clip: Clip | None = None


@dataclass(frozen=True)
class Confusions:
    """Counts of (reference, recognised) labels; None stands for a label missed or added. `labels` gives the order."""

    labels: tuple[str, ...]
    counts: Mapping[tuple[str | None, str | None], int]


@dataclass(frozen=True)
class WorstUtterance:
    """One utterance with errors: its (reference, recognised) labels along the alignment, None where one is missing."""

    id: str
    alignment: tuple[tuple[str | None, str | None], ...]
    detail: str = ""
    clip: Clip | None = None


@dataclass(frozen=True)
class TranscriptionReport:
    """Everything the page shows. `worst` is None where nobody looked, and () where no utterance had an error."""

    title: str
    summary: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    scores: tuple[Score, ...] = ()
    confidence: float = 0.95
    panels: tuple[Panel, ...] = ()
    spikes: Spikes | None = None
    confusions: Confusions | None = None
    worst: tuple[WorstUtterance, ...] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    footer: str = "Written by Karussell."


def transcription_page(report: TranscriptionReport) -> str:
    """Return the report as one HTML file without anything from outside."""
    page = Page(report.title, kicker="Transcription report", lead=report.summary, footer=report.footer)
    sound = _Sound()
    if report.scores:
        page.open_with(_cards(report.scores, report.confidence))
    if report.facts:
        page.open_with(facts(report.facts))
    if report.scores:
        page.add("Error rates", _scores(report.scores, report.confidence))
    if report.panels:
        page.add("Learning curves", _learning(report.panels))
    if report.spikes is not None:
        page.add("What the network says", _spikes(report.spikes, sound))
    if report.confusions is not None:
        page.add("Confusions", _confusions(report.confusions))
    if report.worst is not None:
        page.add("Worst utterances", _worst(report.worst, sound))
    if report.config:
        page.add("Configuration", settings(report.config))
    return page.html()


class _Sound:
    """Embeds clips until the page's share for sound is used up, and says so from then on."""

    def __init__(self) -> None:
        self.left = SOUND

    def __call__(self, clip: Clip | None, name: str) -> Html:
        if clip is None:
            return Html("")
        size = -(-len(clip.data) // 3) * 4
        if size > self.left:
            return Html('<p class="detail">The recording is left out to keep this page small.</p>')
        self.left -= size
        return player(clip, f"Recording of {name}")


def per_cent(share: float) -> str:
    """Write a share of one as per cent, with two decimals below ten."""
    if share == 0:
        return "0\u202f%"
    return f"{100 * share:.{2 if share < 0.0995 else 1}f}\u202f%"


def _range(rate: Rate) -> str:
    if rate.low is None or rate.high is None:
        return ""
    return f"{per_cent(rate.low)} to {per_cent(rate.high)}"


def _cards(scores: Sequence[Score], confidence: float) -> Html:
    cards = []
    for score in scores:
        number, unit = per_cent(score.system.rate).split("\u202f")
        parts = [
            f"<h3>{text(score.name)}</h3>",
            f'<p class="number">{number}<small>\u202f{unit}</small></p>',
        ]
        if score.system.rate == 0 and score.system.high == 0:
            parts.append("<p>No error in this sample, so that no interval can be estimated</p>")
        elif span := _range(score.system):
            parts.append(f"<p>{100 * confidence:g}\u202f% interval {span}</p>")
        if score.floor is not None:
            span = _range(score.floor)
            parts.append(
                f'<p class="floor">Floor {per_cent(score.floor.rate)}{f" ({span})" if span else ""}, '
                f"{text(score.floor_name)}<br>{_verdict(score.system, score.floor)}</p>"
            )
        if score.note:
            parts.append(f'<p class="note">{text(score.note)}</p>')
        cards.append(Html(f'<div class="card">\n{join([Html(p) for p in parts])}\n</div>'))
    return Html(f'<div class="cards">\n{join(cards)}\n</div>')


def _verdict(system: Rate, floor: Rate) -> Html:
    if system.rate >= floor.rate:
        return Html('<span class="verdict worse">Not better than the floor</span>')
    if system.high is not None and floor.low is not None and system.high >= floor.low:
        return Html('<span class="verdict">Below the floor, but the intervals overlap</span>')
    words = f"{floor.rate / system.rate:.1f} times fewer errors than the floor" if system.rate else "Below the floor"
    return Html(f'<span class="verdict better">{words}</span>')


def _scores(scores: Sequence[Score], confidence: float) -> Html:
    items, said = [], []
    for score in scores:
        for rate, name, quiet in ((score.system, score.name, False), (score.floor, score.floor_name, True)):
            if rate is not None:
                items.append(Interval(name, rate.rate, rate.low, rate.high, quiet=quiet))
                said.append(f"{name} {per_cent(rate.rate)}")
    plot = responsive(lambda width: intervals(items, width), f"Error rates: {'; '.join(said)}.")
    caption = (
        f"Points are error rates, bars their {100 * confidence:g}\u202f% intervals from a bootstrap over utterances."
    )
    hollow = " Hollow points are the floor: what a method without learning reaches on the same data."
    return figure(plot, caption + (hollow if any(s.floor for s in scores) else ""))


def _learning(panels: Sequence[Panel]) -> Html:
    said = []
    for panel in panels:
        drawn = [line for line in panel.curves if line.y]
        last = [f"{line.name} {per_cent(line.y[-1]) if panel.percent else f'{line.y[-1]:.3g}'}" for line in drawn]
        if drawn:
            said.append(f"{panel.title} after {panel.x_label} {drawn[0].x[-1]:g}: {', '.join(last)}.")
    plot = responsive(lambda width: learning_curves(panels, width), f"Learning curves. {' '.join(said)}")
    marks = sorted({(panel.x_label, panel.mark) for panel in panels if panel.mark is not None})
    kept = f" The dotted line marks {marks[0][0]} {marks[0][1]:g}, whose weights were kept." if marks else ""
    return figure(plot, f"{' '.join(said)}{kept}")


def _spikes(shown: Spikes, sound: _Sound) -> Html:
    classes = len(shown.symbols) + 1
    if shown.probabilities.ndim != 2 or shown.probabilities.shape[1] != classes or not len(shown.probabilities):
        raise InputError(
            f"Spikes: probabilities is {list(shown.probabilities.shape)}; with {len(shown.symbols)} symbols it must be "
            f"[T, {classes}] with T of at least 1."
        )
    if shown.features.ndim != 2 or not shown.features.size:
        raise InputError(f"Spikes: features is {list(shown.features.shape)}; it must be [frames, bands].")
    plot = responsive(
        lambda width: spikes(
            shown.features, shown.probabilities, shown.symbols, shown.seconds, width, blank=shown.blank
        ),
        f"Spectrogram of {shown.id} above the label probabilities over time. "
        f"Reference: {shown.reference}. Recognised: {shown.hypothesis}.",
    )
    caption = (
        f"The spectrogram of {shown.id} and what the network says about each moment of it. It answers with the blank "
        "(dashed) until it is sure of a label, and then with a spike; the spikes in order are the transcription. "
        f"Said: {shown.reference}. Recognised: {shown.hypothesis}."
    )
    return figure(join([plot, sound(shown.clip, shown.id)]), caption)


def _confusions(confusions: Confusions) -> Html:
    labels, counts = confusions.labels, confusions.counts
    wrong = sorted(((n, pair) for pair, n in counts.items() if pair[0] != pair[1] and n), key=_by_count)
    note = ""
    if len(labels) > LABELS:
        blame: dict[str | None, int] = {}
        for n, pair in wrong:
            for label in pair:
                blame[label] = blame.get(label, 0) + n
        kept = set(sorted(labels, key=lambda label: -blame.get(label, 0))[:LABELS])
        note = f" Shown are the {LABELS} labels with the most errors, of {len(labels)}."
        labels = tuple(label for label in labels if label in kept)
    axis: list[str | None] = [*labels, None]
    rows = []
    for said in axis:
        # nothing said and nothing recognised is no event
        cells = [None if said is heard is None else counts.get((said, heard), 0) for heard in axis]
        rows.append(("added" if said is None else _shown(said), cells))
    table = heat([*map(_shown, labels), "missed"], rows, rows_are="said", columns_are="recognised as")
    most = "; ".join(f"{_event(pair)} ({n} {'time' if n == 1 else 'times'})" for n, pair in wrong[:5])
    return figure(table, f"{f'Most frequent: {most}.' if most else 'No label was confused with another.'}{note}")


def _by_count(item: tuple[int, tuple[str | None, str | None]]) -> tuple[int, str, str]:
    n, (said, heard) = item
    return -n, said or "", heard or ""


def _event(pair: tuple[str | None, str | None]) -> str:
    said, heard = pair
    if heard is None:
        return f"{_shown(said or '')} missed"
    return f"{_shown(heard)} added" if said is None else f"{_shown(said)} taken for {_shown(heard)}"


def _shown(label: str) -> str:
    return "␣" if label == " " else label


def _worst(worst: Sequence[WorstUtterance], sound: _Sound) -> Html:
    if not worst:
        return Html("<p>No utterance has an error.</p>")
    items = []
    for utterance in worst:
        errors = sum(said != heard for said, heard in utterance.alignment)
        labels = sum(said is not None for said, _ in utterance.alignment)
        detail = f"{errors} {'error' if errors == 1 else 'errors'} in {labels} {'label' if labels == 1 else 'labels'}"
        detail = f"{detail} · {utterance.detail}" if utterance.detail else detail
        aligned = Html(f"<div>{pairs(utterance.alignment, 'said', 'recognised')}</div>")
        items.append(
            Html(
                f'<li>\n<div class="top"><h3>{text(utterance.id)}</h3><p class="detail">{text(detail)}</p></div>\n'
                f'<div class="row">{aligned}\n{sound(utterance.clip, utterance.id)}</div>\n</li>'
            )
        )
    return Html(f'<ol class="worst">\n{join(items)}\n</ol>')
