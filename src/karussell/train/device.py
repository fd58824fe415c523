"""Where a run computes: a thin door to accelerate, which knows devices, mixed precision and launchers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from karussell.errors import InputError

if TYPE_CHECKING:
    from accelerate import Accelerator


def accelerator(device: str = "auto", precision: str = "no") -> "Accelerator":
    """An `accelerate.Accelerator` for the named device; `auto` takes the best one that is there."""
    if device not in ("auto", "cpu"):
        _check(device)
    # imported here: it takes a third of a second, and `import karussell` shall not
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    # accelerate keeps one device and precision a process; two runs in turn may want different ones
    if not torch.distributed.is_initialized():
        AcceleratorState._reset_state(True)
    with _named(device):
        return Accelerator(cpu=device == "cpu", mixed_precision=precision)


@contextmanager
def _named(device: str) -> Iterator[None]:
    # the one way accelerate takes a device by name
    before = os.environ.get("ACCELERATE_TORCH_DEVICE")
    if device not in ("auto", "cpu"):
        os.environ["ACCELERATE_TORCH_DEVICE"] = device
    try:
        yield
    finally:
        os.environ.pop("ACCELERATE_TORCH_DEVICE", None)
        if before is not None:
            os.environ["ACCELERATE_TORCH_DEVICE"] = before


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch computes with so many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"device {device!r} cannot be used here ({reason}); use cpu, or auto for the best one there is"
        ) from error
