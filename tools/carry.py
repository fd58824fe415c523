"""Compiles what a wheel carries, so that whoever installs it needs no compiler.

    python tools/carry.py [--isa avx2 avx512] [--cells lstm gru] [--into FOLDER]
    pip wheel . --no-deps

Every cell's engine in float32, the large products, the CTC loss and search, language models, the runtime. A build is
found by its text, its headers and the instruction set, so an old one is never run.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from karussell.cells import CELLS
from karussell.ctc import kernel
from karussell.ctc.lm import native as lm
from karussell.ctc.search import native as search
from karussell.native import Source, library
from karussell.ops import native
from karussell.ops.recurrence import large
from karussell.program import program
from karussell.runtime import library as runtime


def sources(names: list[str] | None) -> list[Source]:
    """Everything, or what the named cells need."""
    cells = [large.source()]
    cells += [native.source(program(c)) for c in CELLS if names is None or c.name in names]
    return cells if names else [*cells, kernel.source(), search.source(), lm.source(), runtime.source()]


def carry(isas: list[str], names: list[str] | None, into: Path) -> list[Path]:
    """Compile into the folder, two at a time; builds of other texts are removed."""
    into.mkdir(parents=True, exist_ok=True)
    work = {into / library.carried_name(s, isa): (s, isa) for s in sources(names) for isa in isas}
    for old in set(into.glob("*.so")) - set(work):
        old.unlink()

    def build(path: Path) -> None:
        if not path.exists():
            library.build(*work[path], path)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(build, work))
    return sorted(work)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compile what a wheel carries.")
    parser.add_argument("--isa", nargs="+", default=["avx2", "avx512"], help="instruction sets")
    parser.add_argument("--cells", nargs="+", help="only what these cells need")
    parser.add_argument("--into", type=Path, default=library.CARRIED, help="the folder")
    given = parser.parse_args()
    begin = time.time()
    made = carry(given.isa, given.cells, given.into)
    size = sum(p.stat().st_size for p in made) / 1e6
    print(f"{len(made)} libraries, {size:.1f} MB, in {given.into}: {time.time() - begin:.0f} s")


if __name__ == "__main__":
    main()
