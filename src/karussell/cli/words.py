"""Numbers as people read them."""

import sys
from pathlib import Path
from typing import Any


def percent(share: float) -> str:
    """A share as per cent with two decimals."""
    return f"{100 * share:.2f} %"


def opening(path: Path) -> str:
    """The command that shows a file on this system."""
    program = {"darwin": "open", "win32": "start"}.get(sys.platform, "xdg-open")
    return f"{program} {path}"


def describe(result: dict[str, Any]) -> str:
    """Error rates as lines for people."""
    lines = [
        f"label error rate  {percent(result['ler'])}  (95 % interval {percent(result['low'])} to "
        f"{percent(result['high'])})",
        f"                  {result['substitutions']} substituted, {result['deletions']} missed, "
        f"{result['insertions']} added in {result['labels']} labels of {result['utterances']} recordings",
    ]
    if "wer" in result:
        lines.append(
            f"word error rate   {percent(result['wer'])}  (95 % interval {percent(result['wer_low'])} to "
            f"{percent(result['wer_high'])})"
        )
    return "\n".join(lines)
