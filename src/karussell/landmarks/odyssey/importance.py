"""Which hyper-parameters matter: an additive fit over the random settings, and the share of variance of each part.

log10 of the score is fitted by least squares with a level for every variant and, for the learning rate (log10), the
units (log2) and the noise on the input, a quadratic (noise, which has two levels: linear). A part's share is the
variance of its fitted values over that of the scores. Settings are drawn independently, so the parts are nearly
uncorrelated and their shares nearly add up to the R^2 of the fit; what is left is interaction and chance. The paper
does this with trees (functional ANOVA), which is the same question with fewer assumptions.
"""

from collections.abc import Sequence

import numpy as np

from karussell.landmarks.landmark import Picture, Row, Rows, Table

LEAST = 8
"""Settings below which nothing is fitted."""


def shares(arms: Sequence[Sequence[Row]]) -> tuple[dict[str, float], float] | None:
    """Share of the variance by learning rate, units, noise and variant, and the R^2 of the fit; a list of rows an arm.

    None with fewer than eight settings, or where nothing varies.
    """
    rows = [(k, row) for k, found in enumerate(arms) for row in found if row.value is not None]
    if len({row.seed for _, row in rows}) < LEAST:
        return None

    def drawn(name: str) -> np.ndarray:
        return np.array([float(row.measures[name] or 0.0) for _, row in rows])

    y = np.log10([float(row.value or 0.0) for _, row in rows])
    rate, units, noise = drawn("log10 learning rate"), np.log2(drawn("units")), drawn("noise")
    variant = np.array([[float(k == j) for j in range(len(arms))] for k, _ in rows])
    parts = {
        "learning rate": _centred(rate, rate**2),
        "units": _centred(units, units**2),
        "noise on the input": _centred(noise),
        "variant": variant,
    }
    design = np.concatenate(list(parts.values()), 1)
    weights = np.linalg.lstsq(design, y, rcond=None)[0]
    total = float(y.var())
    if total == 0.0:
        return None
    found, at = {}, 0
    for name, columns in parts.items():
        found[name] = float((columns @ weights[at : at + columns.shape[1]]).var()) / total
        at += columns.shape[1]
    return found, 1.0 - float((y - design @ weights).var()) / total


def _centred(*columns: np.ndarray) -> np.ndarray:
    together = np.stack(columns, 1)
    together = together - together.mean(0)
    spread = together.std(0)
    return together / np.where(spread == 0.0, 1.0, spread)


def importance(rows: Rows, tasks: Sequence[str], variants: Sequence[str]) -> list[Table]:
    """The shares of each task as a table; none where too few settings were run."""
    lines = []
    for task in tasks:
        arms = [rows.get(f"{task}, {variant}", ()) for variant in variants]
        found = shares(arms)
        if found is not None:
            parts, fit = found
            settings = len({row.seed for arm in arms for row in arm})
            lines.append((task, *(f"{100 * share:.0f} %" for share in parts.values()), f"{fit:.2f}", str(settings)))
    head = ("task", "learning rate", "units", "noise on the input", "variant", "R^2 of the fit", "settings")
    caption = "Share of the variance of log10 of the score: an additive fit, quadratic in learning rate and units."
    return [Table("Which hyper-parameters matter", head, lines, caption)] if lines else []


def by_rate(rows: Rows, task: str, variants: Sequence[str]) -> list[Picture]:
    """The score of some variants by the learning rate that was drawn."""
    curves = []
    for variant in variants:
        found = [row for row in rows.get(f"{task}, {variant}", ()) if row.value is not None]
        points = sorted((float(row.measures["log10 learning rate"] or 0.0), float(row.value or 0.0)) for row in found)
        if len(points) > 1:
            curves.append((variant, [x for x, _ in points], [y for _, y in points]))
    caption = "V is vanilla LSTM; NFG has no forget gate, NOAF no output activation, CIFG couples its gates."
    return [Picture(f"Score by learning rate, {task}", "log10 of the learning rate", curves, caption)] if curves else []
