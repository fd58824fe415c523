"""Plots as inline SVG: drawn by matplotlib, coloured by the page, so that one drawing serves light and dark.

Every function takes the width in inches and returns an <svg> element; `drawing` has what they draw with.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from karussell.report.drawing import (
    ACCENT,
    COLOURS,
    MUTED,
    PAPER,
    SERIES,
    new_figure,
    per_cent_axis,
    style,
    to_svg,
)
from karussell.report.drawing import INK as INK
from karussell.report.drawing import NARROW as NARROW
from karussell.report.drawing import WIDE as WIDE
from karussell.report.drawing import responsive as responsive
from karussell.report.page import Html

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Curve:
    """One line of a plot; points that are not finite are left out."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Panel:
    """Curves over one x axis. `percent` shows shares of one as per cent; `levels` are named dashed horizontals.

    `mark` is an x worth a dotted vertical, such as the epoch whose weights were kept.
    """

    title: str
    curves: tuple[Curve, ...]
    x_label: str = "epoch"
    percent: bool = False
    log: bool = False
    levels: tuple[tuple[str, float], ...] = ()
    mark: float | None = None


@dataclass(frozen=True)
class Interval:
    """A value with its bounds, if it has any; `quiet` ones, such as a floor, step back."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    quiet: bool = False


def curve(rows: Iterable[Mapping[str, Any]], x: str, y: str, name: str) -> Curve:
    """Take a curve out of history rows, leaving out the rows that lack either column."""
    points = [(float(row[x]), float(row[y])) for row in rows if row.get(x) is not None and row.get(y) is not None]
    points = [(a, b) for a, b in points if math.isfinite(a) and math.isfinite(b)]
    return Curve(name, tuple(a for a, _ in points), tuple(b for _, b in points))


def learning_curves(panels: Sequence[Panel], width: float) -> Html:
    """Draw panels side by side where there is room, else one below the other."""
    with style():
        columns = min(len(panels), 2) if width > 5 else 1
        rows = math.ceil(len(panels) / columns)
        figure = new_figure(width, 2.35 * rows)
        for k, panel in enumerate(panels):
            _panel(figure.add_subplot(rows, columns, k + 1), panel)
        return to_svg(figure)


def intervals(items: Sequence[Interval], width: float, *, percent: bool = True) -> Html:
    """Draw values as points on a common scale from 0, each with its interval as a bar."""
    beside = width > 5
    # what is quiet belongs to what stands above it
    places = np.cumsum([0.0] + [0.8 if item.quiet else 1.25 for item in items[1:]]).tolist()
    with style():
        figure = new_figure(width, 0.7 + (0.32 if beside else 0.46) * (places[-1] + 1))
        axes = figure.add_subplot()
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x")
        for y, item in zip(places, items, strict=True):
            colour = MUTED if item.quiet else ACCENT
            if item.low is not None and item.high is not None:
                axes.plot([item.low, item.high], [y, y], color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt")
            face = PAPER if item.quiet else colour
            axes.plot(item.value, y, "o", color=colour, markersize=6, markerfacecolor=face, clip_on=False, zorder=3)
            if not beside:
                axes.annotate(item.label, (0, y), xytext=(0, 7), textcoords="offset points")
        axes.set_yticks(places if beside else [], [item.label for item in items] if beside else [])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(places[-1] + 0.6, -0.6 if beside else -0.85)
        axes.set_xlim(left=0)
        axes.spines["left"].set_visible(False)
        if percent:
            per_cent_axis(axes, "x")
        return to_svg(figure)


def spikes(
    features: np.ndarray,
    probabilities: np.ndarray,
    symbols: Sequence[str],
    seconds: float,
    width: float,
    *,
    blank: int = 0,
) -> Html:
    """Draw label probabilities [T, K] below the spectrogram [frames, bands] they come from (Graves et al. 2006).

    `symbols` are the K - 1 labels without the blank. Both arrays span `seconds`. Labels that never reach 5 % are left
    out; the blank is a dashed line; the spikes go on as hairlines through the spectrogram.
    """
    with style():
        figure = new_figure(width, 3.4)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.15, 1])
        top.imshow(
            _ink(features),
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, features.shape[1]),
            interpolation="none",
        )
        top.grid(visible=False)
        top.set_yticks([])
        top.set_ylabel("mel bands")
        top.tick_params(axis="x", length=0)
        for side in top.spines.values():
            side.set_visible(False)

        time = (np.arange(len(probabilities)) + 0.5) * seconds / len(probabilities)
        bottom.plot(time, probabilities[:, blank], color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
        names = {k if k < blank else k + 1: symbol for k, symbol in enumerate(symbols)}
        colours = {k: COLOURS[n % SERIES] for n, k in enumerate(names)}
        shown = [k for k in names if probabilities[:, k].max() >= 0.05]
        for k in shown:
            bottom.fill_between(time, probabilities[:, k], color=colours[k], alpha=0.3, linewidth=0)
            bottom.plot(time, probabilities[:, k], color=colours[k])
        peaks = [(at, k) for at, k in _peaks(probabilities) if k in shown]
        for at, k in peaks:
            top.axvline(time[at], color=colours[k], linewidth=1.1 if len(peaks) <= 20 else 0.7)
        _name_peaks(bottom, [(time[at], names[k], colours[k]) for at, k in peaks], seconds, width - 0.8)
        bottom.set_xlim(0, seconds)
        bottom.set_ylim(0, 1.06)
        bottom.set_yticks([0, 0.5, 1])
        bottom.set_ylabel("probability")
        bottom.set_xlabel("seconds")
        return to_svg(figure)


def _name_peaks(axes: "Axes", peaks: list[tuple[float, str, str]], seconds: float, inches: float) -> None:
    """Write the labels above their spikes, as large as there is room for; words stand upright on them."""
    size = min(10.0, max(6.0, 1.2 * 72 * inches / max(len(peaks), 1)))
    turn = 0 if all(len(name) <= 2 for _, name, _ in peaks) else 90
    last = -math.inf
    for x, name, colour in peaks:
        # letters on top of one another can be read by nobody
        if (x - last) / seconds * inches * 72 < 0.5 * size:
            continue
        last = x
        shown = "␣" if name == " " else name if len(name) <= 12 else f"{name[:11]}…"
        axes.text(x, 1.08, shown, color=colour, ha="center", va="bottom", rotation=turn, weight="bold", size=size)


def _panel(axes: "Axes", panel: Panel) -> None:
    for k, line in enumerate(panel.curves):
        few = "." if len(line.x) < 3 else None
        axes.plot(line.x, line.y, label=line.name, color=ACCENT if k == 0 else COLOURS[k], marker=few)
    for name, level in panel.levels:
        axes.axhline(level, color=MUTED, linewidth=1, linestyle=(0, (4, 2)), label=name)
    if panel.mark is not None:
        axes.axvline(panel.mark, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
    if panel.log:
        axes.set_yscale("log")
        # plain numbers: mathematical markup is not for text in a page
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        values = [y for line in panel.curves for y in line.y if y > 0]
        between = "25" if values and max(values) < 20 * min(values) else ""
        axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in between else "")
    elif all(y >= 0 for line in panel.curves for y in line.y):
        axes.set_ylim(bottom=0)
    if all(x >= 0 for line in panel.curves for x in line.x):
        # one or two points are no reason for an axis of their own
        axes.set_xlim(left=0)
    if panel.percent:
        per_cent_axis(axes, "y")
    axes.set_title(panel.title, pad=24)
    axes.set_xlabel(panel.x_label)
    if panel.curves or panel.levels:
        # more than four would not fit beside each other on a narrow screen
        figure = axes.get_figure(root=True)
        crowded = len(panel.curves) > 4 and figure is not None and figure.get_figwidth() < 5
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.02), ncols=2 if crowded else 4)


def _peaks(probabilities: np.ndarray) -> list[tuple[int, int]]:
    """List the runs of the best path: the frame where each is highest, and its class."""
    found, at = [], 0
    for k, run in itertools.groupby(probabilities.argmax(1).tolist()):
        size = len(list(run))
        found.append((at + int(probabilities[at : at + size, k].argmax()), k))
        at += size
    return found


def _ink(features: np.ndarray) -> np.ndarray:
    """Turn energies into black ink of varying thickness, thin for noise; in the dark the page inverts it."""
    # what a screen cannot show is not worth its bytes
    step = -(-len(features) // 1200)
    features = np.stack([features[k : k + step].max(0) for k in range(0, len(features), step)])
    low, high = np.percentile(features, [20, 99.5])
    alpha = np.clip((features.T - low) / max(high - low, 1e-9), 0, 1) ** 1.8
    image = np.zeros((*alpha.shape, 4), dtype=np.uint8)
    image[..., 3] = (alpha * 235).astype(np.uint8)
    return image
