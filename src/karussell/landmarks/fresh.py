"""Whether runs with other seeds agree with the committed results, kept as one small file."""

import json
from pathlib import Path
from typing import Any

from karussell.errors import InputError
from karussell.landmarks.catalogue import FOLDER, NAMES, committed
from karussell.landmarks.result import Result, agreement, count, figure
from karussell.landmarks.table import seeds

AGREEMENT = "agreement.json"


def compared(folder: Path) -> list[dict[str, Any]]:
    """One entry an arm that both have run: figures, seeds, p of Welch's and Fisher's tests, whether they agree.

    InputError where the folder holds no result of a landmark with other seeds than the committed ones.
    """
    entries = []
    for name in NAMES:
        path, before = folder / name / "result.json", committed(name)
        if before is None or not path.is_file():
            continue
        fresh = Result.from_json(path.read_text(encoding="utf-8"), str(path))
        for line in agreement(fresh, before):
            mine, theirs = fresh.rows[line.arm], before.rows[line.arm]
            if {row.seed for row in mine} & {row.seed for row in theirs}:
                raise InputError(f"{path}: seeds of '{line.arm}' are among the committed ones; run others with --first")
            entries.append(
                {
                    "landmark": name,
                    "arm": line.arm,
                    "committed": f"{figure(theirs)}; {count(theirs)}",
                    "fresh": f"{figure(mine)}; {count(mine)}",
                    "seeds": seeds(mine),
                    "welch": float(f"{line.values:.3g}"),
                    "fisher": float(f"{line.successes:.3g}"),
                    "agrees": line.agrees,
                }
            )
    if not entries:
        raise InputError(f"'{folder}' has no NAME/result.json of an arm that has a committed result")
    return entries


def stored() -> list[dict[str, Any]]:
    """What the committed file holds; empty where there is none."""
    path = FOLDER / AGREEMENT
    if not path.is_file():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(found, list)
    return found
