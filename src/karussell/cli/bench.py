"""`karussell bench layers`: our layers beside their peers, measured in one run."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from karussell.cli.command import Command, note


def declare(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("what", choices=("layers",), help="layers: recurrent layers against torch's and others")
    parser.add_argument("--quick", action="store_true", help="fewer cases; ends within 4 minutes on 2 cores")
    parser.add_argument("--json", type=str, metavar="FILE", help="where to write the result")
    parser.add_argument("--groups", type=str, nargs="+", metavar="GROUP", help="only these groups of cases")
    parser.add_argument("--threads", type=int, nargs="+", metavar="N", help="numbers of threads; 1 and all by default")


def run(given: Namespace, words: list[str]) -> int:  # noqa: ARG001 - every command gets them
    """Measure, print the table, and write the result where one is asked for."""
    from karussell.bench import run_layers, show

    file = None if given.json is None else Path(given.json)
    show(run_layers(given.groups, given.quick, file, given.threads, say=note))
    return 0


COMMAND = Command(
    "bench",
    "measure recurrent layers beside their peers",
    "bench layers [--quick] [--json FILE] [--groups GROUP ...] [--threads N ...]",
    "Measure our layers beside their peers, turn about in one process, after a parity check against float64; a ratio "
    "above 1 means that ours is faster.",
    declare,
    run,
)
