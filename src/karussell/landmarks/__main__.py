"""`python -m karussell.landmarks`: what is made from results: the pages, and how fresh seeds agree.

docs            docs/landmarks.md, the gallery and the result parts of the READMEs
fresh FOLDER    agreement.json from FOLDER/NAME/result.json of runs with other seeds
"""

import argparse
import json
import sys
from pathlib import Path

from karussell.files import write_atomic
from karussell.landmarks.catalogue import FOLDER, committed
from karussell.landmarks.docs import page, readme
from karussell.landmarks.fresh import AGREEMENT, compared
from karussell.landmarks.gallery import gallery
from karussell.landmarks.table import results


def main(words: list[str] | None = None) -> int:
    """Write what the command names."""
    parser = argparse.ArgumentParser(prog="python -m karussell.landmarks", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    docs = commands.add_parser("docs", help="the pages of results")
    docs.add_argument("--out", type=Path, default=Path("docs"), help="the folder of the pages")
    fresh = commands.add_parser("fresh", help="how runs with other seeds agree with the committed results")
    fresh.add_argument("folder", type=Path, help="holds NAME/result.json, as landmarks run --first 100 --out writes it")
    given = parser.parse_args(words)
    if given.command == "fresh":
        write_atomic(FOLDER / AGREEMENT, json.dumps(compared(given.folder), indent=1, ensure_ascii=False) + "\n")
        return 0
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
