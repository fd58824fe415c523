"""A build that came with the package runs where there is no compiler, and only if it is of this very text."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from karussell import native

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, torch
from pathlib import Path
from karussell.native import library
library.CARRIED = Path(sys.argv[1])
from karussell import cells, nn, ops
layer = nn.Recurrent(getattr(cells, sys.argv[2]), 3, 4)
with ops.watch() as ran:
    layer(torch.randn(2, 1, 3))[0].sum().backward()
print(*ran)
"""


def ran(folder: Path, cell: str, home: Path) -> str:
    # no compiler by any name, and no build from before
    environment = {**os.environ, "PATH": "", "CXX": "none", "KARUSSELL_HOME": str(home)}
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(folder), cell]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(native.compiler() is None, reason="there is no C++ compiler to carry builds with")
def test_without_a_compiler_what_is_carried_runs(tmp_path):
    folder = tmp_path / "built"
    folder.mkdir()
    (folder / "old-000000000000-plain.so").write_bytes(b"of another text")
    command = [sys.executable, ROOT / "tools" / "carry.py", "--isa", native.isa(), "--cells", "min_lstm"]
    said = subprocess.run([*command, "--into", folder], capture_output=True, text=True, check=True).stdout
    assert "2 libraries" in said
    assert not list(folder.glob("old-*"))
    assert ran(folder, "MinLSTM", tmp_path / "home") == "cpp"
    assert ran(folder, "CIFG", tmp_path / "home") == "reference"
