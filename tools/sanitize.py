"""Runs every cell compiled under AddressSanitizer and UBSan: `python tools/sanitize.py [CELL ...]`.

Compiles each cell anew (about ten seconds a cell), runs it forward and backward in shapes that reach every branch of
the loop, one thread and two, and compares with the reference. A finding stops it with the sanitizer's report.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1 -O1"


def main() -> int:
    """Start this file again with the sanitizers' library loaded, which must come first."""
    if os.environ.get("KARUSSELL_SANITIZED"):
        return work(sys.argv[1:])
    tool = os.environ.get("CXX", "g++")
    asan = subprocess.run([tool, "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if "/" not in asan:
        print(f"{tool} has no libasan.so, so nothing can be checked; install gcc's sanitizers")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "KARUSSELL_SANITIZED": "1",
            "KARUSSELL_HOME": folder,
            "KARUSSELL_CXXFLAGS": FLAGS,
            "LD_PRELOAD": asan,
            # the interpreter itself keeps memory to its end
            "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=1:abort_on_error=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT / "tests" / "ops")]),
        }
        return subprocess.run([sys.executable, __file__, *sys.argv[1:]], env=environment).returncode


def work(names: list[str]) -> int:
    """Compare the cells named, or all; an error of arithmetic or of memory ends the process."""
    import torch
    from test_cpp_parity import CASES, compare

    from random_problems import make_problem
    from user_cells import EVERY, Case, named, tame

    known = {named(c): c for c in EVERY}
    unknown = [n for n in names if n not in known]
    if unknown:
        print(f"no cell is called {unknown[0]!r}; there are {', '.join(known)}")
        return 2
    more = (Case(5, 13, 33, inputs=17, ragged=True, threads=2), Case(1, 1, 1, inputs=1), Case(4, 25, 1, threads=2))
    for name in names or known:
        for dtype in (torch.float32, torch.float64):
            for case in (*CASES, *more):
                compare(tame(make_problem, known[name], case, dtype), case)
        print(f"{name}: clean", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
