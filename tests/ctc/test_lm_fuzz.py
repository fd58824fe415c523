"""A short run of the fuzzer of language model files; `tools/fuzz_lm.py` alone runs the long one."""

import subprocess
import sys
from pathlib import Path

import pytest

from karussell import native

TOOL = Path(__file__).parents[2] / "tools" / "fuzz_lm.py"


@pytest.mark.skipif("g++" not in (native.compiler() or ""), reason="the sanitizers' library is looked for with g++")
def test_spoilt_files_are_read_or_refused() -> None:
    run = subprocess.run([sys.executable, str(TOOL), "--count", "300"], capture_output=True, text=True, timeout=280)
    if run.returncode == 2 and "no libasan.so" in run.stdout:
        pytest.skip(run.stdout.strip())
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("no finding") == 5


def test_a_reader_that_there_is_not() -> None:
    run = subprocess.run([sys.executable, str(TOOL), "nonesuch"], capture_output=True, text=True, timeout=280)
    assert run.returncode == 2
    assert "no reader is called 'nonesuch'" in run.stdout or "no libasan.so" in run.stdout
