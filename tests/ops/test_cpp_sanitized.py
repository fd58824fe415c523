"""One cell under AddressSanitizer and UndefinedBehaviorSanitizer; `tools/sanitize.py` runs them all."""

import subprocess
import sys
from pathlib import Path

import pytest

from karussell import native

TOOL = Path(__file__).parents[2] / "tools" / "sanitize.py"


@pytest.mark.skipif("g++" not in (native.compiler() or ""), reason="the sanitizers' library is looked for with g++")
def test_memory_of_one_cell_is_clean():
    run = subprocess.run([sys.executable, str(TOOL), "vectors"], capture_output=True, text=True, timeout=280)
    if run.returncode == 2 and "no libasan.so" in run.stdout:
        pytest.skip(run.stdout.strip())
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.strip() == "vectors: clean"


def test_a_cell_that_there_is_not():
    run = subprocess.run([sys.executable, str(TOOL), "nonesuch"], capture_output=True, text=True, timeout=280)
    assert run.returncode == 2
    assert "no cell is called 'nonesuch'" in run.stdout or "no libasan.so" in run.stdout
