"""The kernels compile for a device that is not here, and Triton's compiler says what it made of them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from karussell.native import triton

TOOL = Path(__file__).parents[2] / "tools" / "compile_triton.py"


@pytest.mark.skipif(not triton.installed(), reason="the package 'triton' is not installed")
@pytest.mark.skipif(sys.platform != "linux", reason="Triton's assembler comes with its Linux wheels")
def test_kernels_with_a_barrier_compile_for_a_hopper():
    """With every option on, too; in a process of its own, for here Triton interprets."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, TOOL, "--cells", "rnn", "--kinds", "spread", "--dtypes", "bf16"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    # plain and with every option, forward and backward
    assert len(re.findall(r"^rnn, spread.*\d+ registers", done.stdout, re.MULTILINE)) == 4
