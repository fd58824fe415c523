"""`karussell landmarks`: published results, and one of them run again."""

import json
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from karussell.cli.command import Command, note
from karussell.errors import InputError


def declare(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("what", nargs="?", choices=("run",), help="run: one landmark again; without it, the table")
    parser.add_argument("name", type=str, nargs="?", help="the landmark to run")
    parser.add_argument("--json", action="store_true", help="print data instead of a table")
    parser.add_argument("--budget", type=float, metavar="MINUTES", help="begin no further run after this time")
    parser.add_argument("--seeds", type=int, metavar="N", help="how many seeds of each arm; its own number by default")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first seed")
    parser.add_argument("--arms", type=str, nargs="+", metavar="ARM", help="only these lines of its table")
    parser.add_argument("--smoke", action="store_true", help="only show that everything runs; nothing is written")
    parser.add_argument("--out", type=str, metavar="DIR", help="where to write; runs/landmarks/NAME by default")


def run(given: Namespace, words: list[str]) -> int:  # noqa: ARG001 - every command gets them
    """Print the table, or run one landmark, write its page, and compare it with the committed result."""
    if given.what is None:
        return _table(given.json)
    from karussell.files import write_atomic
    from karussell.landmarks import NAMES, agreement, committed, landmark
    from karussell.landmarks import run as run_landmark
    from karussell.landmarks.gallery import single

    if not given.name:
        raise InputError(f"landmarks run needs a name, one of {', '.join(NAMES)}")
    if given.seeds is not None and given.seeds < 1:
        raise InputError(f"landmarks: --seeds is {given.seeds}; it must be at least 1")
    chosen = landmark(given.name)
    out = Path(given.out or Path("runs") / "landmarks" / given.name)
    result = run_landmark(
        chosen,
        out,
        seeds=given.seeds,
        first=given.first,
        budget=given.budget,
        smoke=given.smoke,
        arms=given.arms or (),
        say=note,
    )
    if given.json:
        print(result.to_json(), end="")
    if given.smoke:
        note(f"{given.name}: everything ran; a smoke run is no result")
        return 0
    write_atomic(out / "page.html", single(result))
    before = committed(given.name)
    for line in agreement(result, before) if before else ():
        again = f"; {line.same} of the {line.shared} seeds that both have gave the same" if line.shared else ""
        note(
            f"{line.arm}: {'agrees' if line.agrees else 'does not agree'} with the committed result "
            f"(Welch p = {line.values:.3g}, Fisher p = {line.successes:.3g}{again})"
        )
    note(f"{given.name}: {result.state}; see {out / 'page.html'}")
    return 0


def _table(as_data: bool) -> int:
    from karussell.landmarks.table import COLUMNS, entries, lines, results

    found = results()
    if as_data:
        print(json.dumps(entries(found), indent=1, ensure_ascii=False))
        return 0
    from rich.console import Console
    from rich.table import Table

    shown = Table(show_lines=True)
    for column in COLUMNS:
        shown.add_column(column, overflow="fold")
    for row in lines(found):
        shown.add_row(*row)
    Console(width=None if Console().is_terminal else 200).print(shown)
    return 0


COMMAND = Command(
    "landmarks",
    "published results, run again",
    "landmarks [--json] | landmarks run NAME [--budget MINUTES] [--seeds N] [--smoke]",
    "Published results of gated recurrent nets: the claim, the published figure, ours over seeds, and a control that "
    "must fail. `run` runs one of them again, seed by seed; a run that was stopped goes on where it was.",
    declare,
    run,
)
