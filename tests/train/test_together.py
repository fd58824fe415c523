"""Two processes with gloo do what one does, to rounding."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from torch import distributed

PROGRAM = Path(__file__).with_name("two_processes.py")
LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]


def run(out: Path, count: int, *words: str) -> list[dict]:
    out.mkdir()
    launch = [*LAUNCH, str(count)] if count > 1 else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launch, str(PROGRAM), str(out), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((out / f"final-{rank}.json").read_text()) for rank in range(count)]


@pytest.mark.skipif(not distributed.is_gloo_available(), reason="this torch has no gloo")
@pytest.mark.parametrize("words", [(), ("norm",)], ids=["plain", "batch norm"])
def test_two_processes_are_one(words: tuple[str, ...], tmp_path: Path) -> None:
    [alone] = run(tmp_path / "one", 1, *words)
    first, second = run(tmp_path / "two", 2, *words)
    assert first == second
    assert len(first["rows"]) == len(alone["rows"]) == 3 * 6 + 3
    for expected, found in zip(alone["rows"], first["rows"], strict=True):
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=2e-4), name
    for name, value in alone["weights"].items():
        assert np.abs(np.subtract(value, first["weights"][name])).max() < 1e-4, name
    # one of the two wrote
    steps = {path.name for path in (tmp_path / "two" / "checkpoints").iterdir()}
    assert steps == {"step-00000017", "step-00000018"}
    assert len((tmp_path / "two" / "metrics.jsonl").read_text().splitlines()) == 21
