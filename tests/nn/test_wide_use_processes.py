"""DistributedDataParallel and FSDP around layers: two processes, the same weights as training alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from wide_use_process import made, train

SCRIPT = Path(__file__).with_name("wide_use_process.py")


def test_wrapped_training_is_training_alone(tmp_path):
    pytest.importorskip("torch.distributed")
    out = tmp_path / "weights.pt"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "USE_LIBUV": "0"}
    subprocess.run([*command, str(SCRIPT), str(out)], check=True, timeout=600, env=environment)
    found = torch.load(out, weights_only=True)
    alone = made()
    train(alone, 0, 1)
    for name, value in alone.state_dict().items():
        for kind in ("ddp", "fsdp"):
            torch.testing.assert_close(found[f"{kind}.{name}"], value, rtol=1e-4, atol=1e-6)
