"""Experiment 2c by lag: what was published, how far we go, and what it looks like."""

import numpy as np

from karussell.landmarks.landmark import Picture, Rows, Table
from karussell.landmarks.result import count, figure

# (q, p), published mean of 20 trials, cap
SCALING = {
    (50, 50): (30_000, 400_000),
    (100, 100): (31_000, 600_000),
    (200, 200): (33_000, 600_000),
    (500, 500): (38_000, 400_000),
    (1000, 1000): (49_000, 200_000),
    (1000, 100): (135_000, 200_000),
}


def pictures(rows: Rows, smoke: bool) -> list[Picture]:  # noqa: ARG001 - there is nothing to run
    """Sequences to the criterion by lag."""
    lags = [q for q, p in SCALING if q == p]
    curves = [("published", list(map(float, lags)), [float(SCALING[q, q][0]) for q in lags])]
    for name, suffix in (("literal", "literal"), ("no gate links", "without gate links")):
        points = []
        for q in lags:
            found = [row.value for row in rows.get(f"2c, q={q}, p={q}, {suffix}", ()) if row.value is not None]
            if found:
                points.append((float(q), float(np.mean(found))))
        if points:
            curves.append((name, [x for x, _ in points], [y for _, y in points]))
    caption = "Means over the seeds that met the criterion; p = q."
    return [Picture("Sequences needed, by number of distractors", "q", curves, caption, log=True)]


def scaling(rows: Rows) -> list[Table]:
    """The table of experiment 2c: sequences to the criterion by number of distractors and of symbols."""
    lines = []
    for (q, p), (published, cap) in SCALING.items():
        line = [f"{q}, {p}", f"{p + 4}", f"{published:,}"]
        for suffix in ("literal", "without gate links"):
            found = tuple(rows.get(f"2c, q={q}, p={p}, {suffix}", ()))
            line.append(f"{figure(found)}; {count(found)}" if found else "not run")
        lines.append((*line, f"{cap:,}"))
    head = ("q, p", "symbols", "published", "literal", "without gate links", "cap")
    return [Table("Scaling of 2c", head, lines, "Sequences before the row of right ones, and runs that reached it.")]
