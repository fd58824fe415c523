"""A short run of `tools/fuzz_ctc.py`: random arguments into the compiled loss, under the sanitizers."""

import subprocess
import sys
from pathlib import Path

import pytest

from karussell.native import compiler

TOOL = Path(__file__).parents[2] / "tools" / "fuzz_ctc.py"


@pytest.mark.skipif("g++" not in (compiler() or ""), reason="the sanitizers' library is looked for with g++")
def test_no_argument_set_reaches_foreign_memory():
    run = subprocess.run([sys.executable, str(TOOL), "500"], capture_output=True, text=True, timeout=280)
    if run.returncode == 2 and "no libasan.so" in run.stdout:
        pytest.skip(run.stdout.strip())
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.startswith("500 argument sets, clean")
