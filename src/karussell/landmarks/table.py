"""The table of landmarks, as text and as data."""

import re
from collections.abc import Sequence
from typing import Any

from karussell.landmarks.catalogue import FOLDER, NAMES, committed, landmark
from karussell.landmarks.landmark import Row
from karussell.landmarks.result import STATES, Result, assemble, count, figure

COLUMNS = ("landmark", "year", "claim", "published", "ours over seeds", "control", "minutes", "state")


def results() -> list[Result]:
    """All landmarks, those that were never run among them."""
    return [committed(name) or assemble(landmark(name), {}) for name in NAMES]


def entries(found: Sequence[Result]) -> list[dict[str, Any]]:
    """One mapping a landmark: what `karussell landmarks --json` prints."""
    return [
        {
            "landmark": result.name,
            "title": result.head["title"],
            "year": result.head["year"],
            "claim": result.head["claim"],
            "published": result.head["published"],
            "figure": result.head["figure"],
            "strict": result.head["strict"],
            "reached": result.head["reached"],
            "arms": [
                {
                    "arm": arm["name"],
                    "role": arm["role"],
                    "published": arm["published"],
                    "ours": figure(result.rows[arm["name"]]),
                    "strict": count(result.rows[arm["name"]]),
                    "reached": count(result.rows[arm["name"]], loosely=True),
                    "seeds": [row.seed for row in result.rows[arm["name"]]],
                }
                for arm in result.arms
            ],
            "claims": [{"text": text, "holds": holds} for text, holds, _ in result.claims],
            "minutes": round(result.minutes, 1),
            "state": result.state,
        }
        for result in found
    ]


def lines(found: Sequence[Result]) -> list[tuple[str, ...]]:
    """The table's rows: the first arm that the claim is about, and the first control."""
    rows: list[tuple[str, ...]] = []
    for result in found:
        ours, published = headline(result)
        rows.append(
            (
                result.name,
                result.head["year"],
                result.head["claim"],
                published,
                ours,
                control(result),
                f"{result.minutes:.1f}" if result.minutes else "–",
                STATES[result.state],
            )
        )
    return rows


def headline(result: Result) -> tuple[str, str]:
    """Our figure and the published one, each with the arm they belong to."""
    arm = next((a for a in result.arms if a["role"] == "ours" and result.rows[a["name"]]), None)
    if arm is None:
        first = next(a for a in result.arms if a["role"] == "ours")
        return "not run", f"{first['name']}: {first['published'] or 'no figure'}"
    rows = result.rows[arm["name"]]
    return f"{arm['name']}: {figure(rows)}; {count(rows)}", f"{arm['name']}: {arm['published'] or 'no figure'}"


def control(result: Result) -> str:
    """How often the first control that was run met the criterion."""
    arm = next((a for a in result.arms if a["role"] == "control" and result.rows[a["name"]]), None)
    return "not run" if arm is None else f"{arm['name']}: {count(result.rows[arm['name']])}"


def leading_number(published: str) -> float | None:
    """The number a published figure begins with, unless it is a percentage."""
    match = re.match(r"(-?\d[\d,]*(?:\.\d+)?)(?!\s*%)(?![\d,.])", published)
    return float(match[1].replace(",", "")) if match else None


def sections(name: str) -> dict[str, str]:
    """The parts of a landmark's README by their headings."""
    path = FOLDER / name / "README.md"
    if not path.is_file():
        return {}
    parts = re.split(r"^## (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {head.strip(): body.strip() for head, body in zip(parts[1::2], parts[2::2], strict=True)}


def seeds(rows: Sequence[Row]) -> str:
    """Which seeds were run, such as 0-9."""
    found = sorted(row.seed for row in rows)
    if not found:
        return "–"
    whole = found == list(range(found[0], found[-1] + 1))
    return f"{found[0]}-{found[-1]}" if whole and len(found) > 1 else ", ".join(map(str, found))
