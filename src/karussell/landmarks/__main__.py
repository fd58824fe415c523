"""`python -m karussell.landmarks docs`: the pages that are made from the committed results."""

import argparse
import sys
from pathlib import Path

from karussell.files import write_atomic
from karussell.landmarks.catalogue import FOLDER, committed
from karussell.landmarks.docs import page, readme
from karussell.landmarks.gallery import gallery
from karussell.landmarks.table import results


def main(words: list[str] | None = None) -> int:
    """Write docs/landmarks.md, docs/landmarks_gallery.html and the result parts of the READMEs."""
    parser = argparse.ArgumentParser(prog="python -m karussell.landmarks", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    docs = commands.add_parser("docs", help="the pages of results")
    docs.add_argument("--out", type=Path, default=Path("docs"), help="the folder of the pages")
    given = parser.parse_args(words)
    found = results()
    for result in found:
        path = FOLDER / result.name / "README.md"
        if path.is_file():
            write_atomic(path, readme(path.read_text(encoding="utf-8"), committed(result.name) or result))
    write_atomic(given.out / "landmarks.md", page(found))
    write_atomic(given.out / "landmarks_gallery.html", gallery(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
