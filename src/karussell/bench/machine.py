"""The machine a bench runs on: its name, its cores, and how fast it multiplies matrices."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from karussell.native import isa

PEERS = ("torchrecurrent", "onnxruntime")


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> dict[str, Any]:
    """What names this machine: nothing in it changes from run to run."""
    return {
        "cpu": _cpu(),
        "cores": cores(),
        "isa": isa(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "peers": {name: _version(name) for name in PEERS},
    }


def load() -> float | None:
    """How many cores were busy over the last minute; None where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        facts = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
        facts = {k.strip(): v.strip() for k, v in facts.items()}
        return f"{facts['model name']} (family {facts['cpu family']}, model {facts['model']})"
    except (OSError, KeyError):
        return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch, and with it our engines, use this many threads inside the `with` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def peak(seconds: float = 0.5, size: int = 1024) -> float:
    """The best floating-point operations a second of torch's float32 matrix product, with the threads it has now."""
    a, b = torch.ones(size, size), torch.ones(size, size)
    out = torch.zeros(size, size)
    best, end = float("inf"), time.perf_counter() + seconds
    with torch.inference_mode():
        while time.perf_counter() < end or best == float("inf"):
            begin = time.perf_counter()
            torch.mm(a, b, out=out)
            best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best
