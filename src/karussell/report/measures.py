"""Scores on a page: each beside the trivial floor on the same data, whether more is better or less."""

from collections.abc import Sequence
from dataclasses import dataclass

from karussell.report.blocks import figure
from karussell.report.drawing import responsive
from karussell.report.page import Html, join, text
from karussell.report.plots import Interval, intervals


@dataclass(frozen=True)
class Measure:
    """A figure beside the floor; `data` says on what it was measured."""

    name: str
    value: float
    floor: float
    floor_name: str
    higher: bool = False
    """Whether more is better."""
    percent: bool = False
    """Whether it is a share of one that is read as per cent."""
    low: float | None = None
    high: float | None = None
    data: str = ""

    def words(self, value: float) -> str:
        """The figure, or another of its kind, as people read it."""
        return f"{100 * value:.1f}\u202f%" if self.percent else f"{value:.4g}"


def measure_cards(measures: Sequence[Measure]) -> Html:
    """A card for every measure: the figure, its interval, the floor and which of the two is better."""
    cards = []
    for m in measures:
        number, _, unit = m.words(m.value).partition("\u202f")
        named = f"{m.name}, {m.data}" if m.data else m.name
        parts = [
            f"<h3>{text(named)}</h3>",
            f'<p class="number">{number}' + (f"<small>\u202f{unit}</small></p>" if unit else "</p>"),
        ]
        if m.low is not None and m.high is not None:
            parts.append(f"<p>95\u202f% interval {m.words(m.low)} to {m.words(m.high)}</p>")
        parts.append(f'<p class="floor">Floor {m.words(m.floor)}, {text(m.floor_name)}<br>{_verdict(m)}</p>')
        cards.append(Html(f'<div class="card">\n{join([Html(p) for p in parts])}\n</div>'))
    return Html(f'<div class="cards">\n{join(cards)}\n</div>')


def measure_plot(measures: Sequence[Measure]) -> Html:
    """The shares among the measures on one scale, hollow points for their floors."""
    items, said = [], []
    for m in measures:
        named = f"{m.name}, {m.data}" if m.data else m.name
        items.append(Interval(named, m.value, m.low, m.high))
        items.append(Interval(m.floor_name, m.floor, quiet=True))
        said.append(f"{named} {m.words(m.value)}, floor {m.words(m.floor)}")
    plot = responsive(lambda width: intervals(items, width), f"Scores: {'; '.join(said)}.")
    caption = "Bars are 95\u202f% intervals. Hollow points are the floor: what needs no learning, on the same data."
    return figure(plot, caption)


def _verdict(m: Measure) -> Html:
    better = m.value > m.floor if m.higher else m.value < m.floor
    if not better:
        return Html('<span class="verdict worse">Not better than the floor</span>')
    if m.higher and m.percent:
        # of shares the errors say more: 98 beside 96 is half of them
        errors, under = 1 - m.value, 1 - m.floor
        words = f"{under / errors:.1f} times fewer errors than the floor" if errors else "No error"
    else:
        words = f"{abs(m.value - m.floor) / abs(m.floor):.0%} better than the floor" if m.floor else "Better"
    return Html(f'<span class="verdict better">{words}</span>')
