"""`python -m karussell.bench layers | table | docs`."""

import argparse
import sys
from pathlib import Path

from karussell.bench import GROUPS, Result, render, run_layers, run_table, show
from karussell.errors import InputError, KarussellError
from karussell.files import write_atomic


def main(words: list[str] | None = None) -> int:
    """Run one bench; 1 where an engine is wrong or something is missing, 2 where the words are."""
    parser = argparse.ArgumentParser(prog="python -m karussell.bench", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    layers = commands.add_parser("layers", help="our layers against their peers")
    layers.add_argument("--quick", action="store_true", help="fewer cases, within 4 minutes on 2 cores")
    layers.add_argument("--json", type=Path, help="where to write the result")
    layers.add_argument("--groups", nargs="+", metavar="GROUP", help=f"some of: {', '.join(GROUPS)}")
    layers.add_argument("--threads", type=int, nargs="+", help="numbers of threads; 1 and all cores if not given")
    table = commands.add_parser("table", help="measure what the `auto` engine reads (3 minutes)")
    table.add_argument("--out", type=Path, help="where to write it; into the package if not given")
    table.add_argument("--seconds", type=float, default=170.0, help="about how long")
    docs = commands.add_parser("docs", help="the page of results")
    docs.add_argument("files", type=Path, nargs="*", help="results written with --json")
    docs.add_argument("--out", type=Path, default=Path("docs/benchmarks.md"), help="where to write the page")
    given = parser.parse_args(words)
    try:
        if given.command == "layers":
            show(run_layers(given.groups, given.quick, given.json, given.threads, say=_say))
        elif given.command == "table":
            run_table(given.out, seconds=given.seconds, say=_say)
        else:
            write_docs(given.files, given.out)
    except KarussellError as error:
        print(f"karussell: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


def write_docs(files: list[Path], out: Path) -> None:
    """Make the page of these result files."""
    missing = [str(f) for f in files if not f.is_file()]
    if missing:
        raise InputError(f"{missing[0]} is no file; write one with: karussell bench layers --json FILE")
    results = {f.stem: Result.from_json(f.read_text(encoding="utf-8"), str(f)) for f in files}
    write_atomic(out, render(results))


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
