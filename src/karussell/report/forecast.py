"""The report of a forecaster: its scores beside the floor, forecasts as fans over the truth, and calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from karussell.errors import InputError
from karussell.report.blocks import facts, figure, settings
from karussell.report.classification import learning
from karussell.report.drawing import (
    ACCENT,
    INK,
    MUTED,
    PAPER,
    new_figure,
    per_cent_axis,
    responsive,
    style,
    to_svg,
)
from karussell.report.measures import Measure, measure_cards
from karussell.report.page import Html, Page, join, text
from karussell.report.plots import Panel


@dataclass(frozen=True)
class Fan:
    """One forecast: history [T] before its origin, truth [D], quantiles [D, Q] of `levels`; nan where missing.

    `origin` says when it was made; `note` what is special about it.
    """

    id: str
    origin: str
    history: np.ndarray
    truth: np.ndarray
    levels: tuple[float, ...]
    quantiles: np.ndarray
    note: str = ""

    def __post_init__(self) -> None:
        if self.quantiles.shape != (len(self.truth), len(self.levels)) or not len(self.truth):
            raise InputError(
                f"Fan: quantiles is {list(self.quantiles.shape)}; with {len(self.truth)} steps of truth and "
                f"{len(self.levels)} levels it must be [{len(self.truth)}, {len(self.levels)}], and not empty."
            )


@dataclass(frozen=True)
class ForecastReport:
    """Everything the page shows; every part may be missing, and its section then is too."""

    title: str
    summary: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    measures: tuple[Measure, ...] = ()
    notes: tuple[str, ...] = ()
    """Repairs of the data."""
    panels: tuple[Panel, ...] = ()
    fans: tuple[Fan, ...] = ()
    coverage: tuple[tuple[float, float], ...] = ()
    """(level, share of values at or below its quantile)."""
    by_step: tuple[tuple[str, tuple[float, ...]], ...] = ()
    """Mean error a step of the horizon, by the name of the method; the forecaster first."""
    config: Mapping[str, Any] = field(default_factory=dict)
    footer: str = "Written by Karussell."


def forecast_page(report: ForecastReport) -> str:
    """Return the report as one HTML file without anything from outside."""
    page = Page(report.title, kicker="Forecast report", lead=report.summary, footer=report.footer)
    if report.measures:
        page.open_with(measure_cards(report.measures))
    if report.facts:
        page.open_with(facts(report.facts))
    if report.fans:
        page.add(
            "Forecasts over truth",
            join([_fan(fan) for fan in report.fans]),
            lead="The line on the left is what the network saw. Bands are the intervals between its quantiles, the "
            "line within them the median, and dots what came.",
        )
    if report.coverage:
        page.add("Calibration", _coverage(report.coverage))
    if report.by_step:
        page.add("Error along the horizon", _by_step(report.by_step))
    if report.panels:
        page.add("Learning curves", learning(report.panels))
    if report.notes:
        items = join([Html(f"<li>{text(note)}</li>") for note in report.notes])
        page.add("What was repaired in the data", Html(f"<ul>\n{items}\n</ul>"))
    if report.config:
        page.add("Configuration", settings(report.config))
    return page.html()


def fan_plot(fan: Fan, width: float) -> Html:
    """Draw a forecast as bands between pairs of quantiles, over its history and the truth."""
    pairs = [
        (k, len(fan.levels) - 1 - k)
        for k in range(len(fan.levels) // 2)
        if abs(fan.levels[k] + fan.levels[-1 - k] - 1) < 1e-9
    ]
    with style():
        drawn = new_figure(width, 2.1)
        axes = drawn.add_subplot()
        before = np.arange(-len(fan.history), 0) + 1
        ahead = np.arange(1, len(fan.truth) + 1)
        axes.plot(before, fan.history, color=INK, linewidth=1.1)
        for low, high in pairs:
            axes.fill_between(
                ahead, fan.quantiles[:, low], fan.quantiles[:, high], color=ACCENT, alpha=0.2, linewidth=0
            )
        if 0.5 in fan.levels:
            axes.plot(ahead, fan.quantiles[:, fan.levels.index(0.5)], color=ACCENT)
        axes.plot(ahead, fan.truth, ".", color=INK, markersize=3.5)
        axes.axvline(0.5, color=MUTED, linewidth=0.8, linestyle=(0, (3, 2)))
        axes.set_xlim(before[0] if len(before) else 0, ahead[-1] + 0.5)
        axes.set_xlabel("steps from the origin")
        axes.margins(y=0.08)
        return to_svg(drawn)


def coverage_plot(rows: Sequence[tuple[float, float]], width: float) -> Html:
    """Draw the share of values below each quantile over its level; a forecast that means what it says is diagonal."""
    with style():
        drawn = new_figure(width, 2.9)
        axes = drawn.add_subplot()
        axes.grid(axis="x")
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
        levels, shares = zip(*rows, strict=True)
        axes.plot(levels, shares, "o-", color=ACCENT, markersize=5, markeredgecolor=PAPER)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("level of the quantile")
        axes.set_ylabel("values at or below it")
        per_cent_axis(axes, "x")
        per_cent_axis(axes, "y")
        return to_svg(drawn)


def steps_plot(rows: Sequence[tuple[str, Sequence[float]]], width: float) -> Html:
    """Draw the mean error a step of the horizon, of the forecaster and of the floors."""
    with style():
        drawn = new_figure(width, 2.3)
        axes = drawn.add_subplot()
        for k, (name, values) in enumerate(rows):
            ahead = np.arange(1, len(values) + 1)
            if k:
                dashes = ((4, 2), (1, 1.5))[(k - 1) % 2]
                axes.plot(ahead, values, color=MUTED, linewidth=1.2, linestyle=(0, dashes), label=name)
            else:
                axes.plot(ahead, values, color=ACCENT, label=name, marker="o" if len(values) == 1 else None)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("step of the horizon")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.02), ncols=3 if width > 5 else 1)
        return to_svg(drawn)


def _fan(fan: Fan) -> Html:
    said = f"{fan.id}, from {fan.origin}"
    inside = _inside(fan)
    caption = f"{said}. {f'{fan.note} ' if fan.note else ''}{inside}"
    return figure(responsive(lambda width: fan_plot(fan, width), f"Forecast of {said}. {inside}"), caption)


def _inside(fan: Fan) -> str:
    low, high = fan.quantiles[:, 0], fan.quantiles[:, -1]
    there = np.isfinite(fan.truth)
    count = int(((fan.truth >= low) & (fan.truth <= high))[there].sum())
    share = f"{100 * (fan.levels[-1] - fan.levels[0]):.3g}\u202f%"
    return f"{count} of {int(there.sum())} values lie within the {share} interval."


def _coverage(rows: Sequence[tuple[float, float]]) -> Html:
    said = "; ".join(
        f"{100 * share:.1f}\u202f% lie below the {100 * level:.3g}\u202f% quantile" for level, share in rows
    )
    plot = responsive(lambda width: coverage_plot(rows, width), f"Calibration: {said}.")
    caption = f"How many values lie below each quantile: {said}. On the dashed line the levels hold. "
    caption += "The quantiles were set so on these same values; on later ones they will hold less exactly."
    return figure(plot, caption)


def _by_step(rows: Sequence[tuple[str, tuple[float, ...]]]) -> Html:
    said = "; ".join(f"{name} {values[0]:.3g} at the first step, {values[-1]:.3g} at the last" for name, values in rows)
    plot = responsive(lambda width: steps_plot(rows, width), f"Mean error along the horizon: {said}.")
    return figure(plot, f"Mean absolute error over the spread of the series: {said}.")
