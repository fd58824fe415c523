"""Where the evidence lies: a series tinted step by step, or words one by one, by what each says for an answer."""

from collections.abc import Sequence

import numpy as np

from karussell.report.drawing import ACCENT, COLOURS, INK, LINE, MUTED, new_figure, style, to_svg
from karussell.report.page import Html, join, text

# the colour of what speaks against an answer, in drawings and in words
AGAINST = COLOURS[7]
# channels of a series that are drawn one over the other
CHANNELS = 6


def series_evidence(values: np.ndarray, evidence: Sequence[float], width: float) -> Html:
    """Draw measurements [T, C], and under them what each step says: up for the answer, down against it, in nats."""
    steps, edges = np.arange(len(values)), np.arange(len(values) + 1) - 0.5
    weight = np.asarray(evidence, np.float64)
    with style():
        figure = new_figure(width, 2.5 if width > 5 else 2.9)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.5, 1])
        drawn = min(values.shape[1], CHANNELS)
        for channel in range(drawn):
            top.plot(steps, values[:, channel], color=INK if drawn == 1 else COLOURS[channel], linewidth=1.2)
        top.grid(visible=False)
        most = float(np.abs(weight).max()) or 1.0
        for sign, colour in ((1, ACCENT), (-1, AGAINST)):
            part = np.where(sign * weight > 0, weight, 0)
            bottom.fill_between(edges, np.append(part, part[-1]), step="post", color=colour, alpha=0.55, linewidth=0)
            # what matters most is tinted behind the series as well
            for step in np.flatnonzero(sign * weight > 0.25 * most):
                alpha = 0.3 * abs(weight[step]) / most
                top.axvspan(step - 0.5, step + 0.5, color=colour, alpha=float(alpha), linewidth=0)
        bottom.axhline(0, color=MUTED, linewidth=0.8)
        bottom.set_ylabel("nats")
        bottom.set_xlabel("step")
        bottom.xaxis.get_major_locator().set_params(integer=True)
        top.spines["bottom"].set_color(LINE)
        top.set_xlim(-0.5, len(values) - 0.5)
        return to_svg(figure)


def word_evidence(words: Sequence[str], evidence: Sequence[float]) -> Html:
    """Set words, each tinted by what it says: blue for the answer, red and underlined against it."""
    most = max((abs(value) for value in evidence), default=0.0) or 1.0
    parts = []
    for word, value in zip(words, evidence, strict=True):
        share = round(45 * abs(value) / most)
        colour = "accent" if value >= 0 else "bad"
        line = ";text-decoration:underline" if value < -0.1 * most else ""
        tint = f"background:color-mix(in srgb,var(--{colour}) {share}%,transparent){line}"
        parts.append(Html(f'<span style="{tint};padding:.1em .25em;border-radius:.25em">{text(word)}</span>'))
    return Html(f'<p style="line-height:2">{join(parts, " ")}</p>')


def reliability_plot(rows: Sequence[tuple[float, float, int]], width: float) -> Html:
    """Draw how often answers of a confidence are right: (mean confidence, share right, count) of each bin."""
    with style():
        figure = new_figure(width, 3.3)
        axes = figure.add_subplot()
        axes.set_box_aspect(1)
        axes.set_anchor("W")
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
        most = max((count for _, _, count in rows), default=1)
        sizes = [20 + 160 * count / most for _, _, count in rows]
        sure, right = [row[0] for row in rows], [row[1] for row in rows]
        axes.plot(sure, right, color=ACCENT)
        axes.scatter(sure, right, s=sizes, color=ACCENT, zorder=3, clip_on=False)
        axes.set_xlim(0, 1.03)
        axes.set_ylim(0, 1.03)
        axes.set_xlabel("confidence")
        axes.set_ylabel("share that is right")
        return to_svg(figure)
