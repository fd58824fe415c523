"""Full disks, folders that may not be written, data that fails on its way: it is said, and the run goes on later."""

import ctypes
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_resume import PROGRAM, SETTINGS, finish, left, newest
from torch import Tensor, nn

from karussell.train import Progress, TrainConfig, fit


def limited(out: Path, most: int) -> "subprocess.CompletedProcess[str]":
    """A training whose files may not grow beyond so many bytes: the kernel refuses as it does on a full disk."""
    return subprocess.run(
        [sys.executable, str(PROGRAM), str(out), *SETTINGS],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )  # fmt: skip


@pytest.mark.parametrize("most", [500, 6000])
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, most: int) -> None:
    finish(tmp_path / "unbroken", *SETTINGS)
    done = limited(tmp_path / "run", most)
    assert done.returncode != 0
    assert "File too large" in done.stderr
    # what stands there has its name only if it is whole
    assert not [path for path in (tmp_path / "run").rglob("*") if path.suffix == ".tmp"]
    finish(tmp_path / "run", *SETTINGS)
    assert left(tmp_path / "run") == left(tmp_path / "unbroken")


def humble() -> None:
    """Root without the right to write where its own permissions forbid it; the next program is run so."""
    drop, rights = 24, (1, 2)
    if any(ctypes.CDLL(None).prctl(drop, right, 0, 0, 0) for right in rights):
        os._exit(77)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the rights of root are dropped as Linux does it")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path / "run"), *SETTINGS],
        capture_output=True, text=True, timeout=60, preexec_fn=humble if os.geteuid() == 0 else None,
    )  # fmt: skip
    tmp_path.chmod(0o700)
    if done.returncode == 77:
        pytest.skip("root may not give up its rights here")
    assert done.returncode != 0
    assert str(tmp_path / "run") in done.stderr
    assert "Permission denied" in done.stderr
    assert not list(tmp_path.iterdir())


class Batches:
    """Of the sums of three numbers; the worker that makes them dies at one of them."""

    def __init__(self, epoch: int, dies: int | None) -> None:
        self.epoch, self.dies = epoch, dies

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if (self.epoch, index) == (1, self.dies):
            raise OSError("the disk with the recordings was pulled out")
        x = torch.randn(4, 3, generator=torch.Generator().manual_seed(10 * self.epoch + index))
        return x, x.sum(-1, keepdim=True)


def train(out: Path, dies: int | None) -> nn.Module:
    torch.manual_seed(1)
    model = nn.Linear(3, 1)
    config = TrainConfig(epochs=4, device="cpu", checkpoint_seconds=0, prefetch=3, threads=1, ema=0)

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return (model(batch[0]) - batch[1]).square().mean()

    fit(model, loss, lambda epoch: Batches(epoch, dies), None, out, config, progress=Progress("test"))
    return model


@pytest.mark.parametrize("dies", [0, 3])
def test_a_worker_that_dies_is_heard_and_the_run_goes_on(tmp_path: Path, dies: int) -> None:
    whole = train(tmp_path / "unbroken", None)
    with pytest.raises(OSError, match="was pulled out"):
        train(tmp_path / "run", dies)
    # every batch before it was learned from
    assert newest(tmp_path / "run") == f"step-{5 + dies:08d}"
    again = train(tmp_path / "run", None)
    assert torch.equal(whole.weight, again.weight)
    assert torch.equal(whole.bias, again.bias)
