"""Whether Triton is here, and whether its kernels run on a device or in its interpreter."""

import importlib.util
import os
import sys
from functools import lru_cache

import torch


def interpreted() -> bool:
    """Whether kernels run on the CPU, number by number, to be tested."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "yes", "on", "y")


@lru_cache
def installed() -> bool:
    """Whether the package is here; it is not imported."""
    return "triton" in sys.modules or importlib.util.find_spec("triton") is not None


def why_not(device: torch.device) -> str | None:
    """Why Triton's kernels cannot run on tensors of this device, in a few words; None if they can."""
    if not installed():
        return "the package 'triton' is not installed (Linux with a CUDA device: pip install 'karussell[gpu]')"
    if interpreted():
        return None if device.type == "cpu" else "TRITON_INTERPRET is set, so it runs on tensors of the CPU"
    if device.type != "cuda":
        return f"it computes on CUDA devices, not on {device} (TRITON_INTERPRET=1 interprets its kernels there)"
    return None


def describe() -> str:
    """One line for `karussell doctor`."""
    if not installed():
        return "not installed: pip install 'karussell[gpu]' (Linux with a CUDA device)"
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version("triton")
    except PackageNotFoundError:
        found = "of unknown version"
    if interpreted():
        return f"{found}, interpreted on the CPU (TRITON_INTERPRET is set)"
    return f"{found}, on CUDA" if torch.cuda.is_available() else f"{found}, but there is no CUDA device"
