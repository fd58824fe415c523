"""What this machine has: its instruction set, its compiler, and the flags the compiler is given."""

import os
import platform
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

from karussell.errors import MissingError

_COMMON = ["-std=c++20", "-O3", "-fPIC", "-shared", "-fvisibility=hidden"]
_COMMON += ["-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
ISAS = {
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"],
    "avx2": ["-mavx2", "-mfma"],
    "neon": ["-march=armv8-a"],
    "plain": [],
}


@lru_cache
def best_isa() -> str:
    """The widest instruction set of this processor that the loops are written for."""
    machine = platform.machine().lower()
    if machine in ("aarch64", "arm64"):
        return "neon"
    if machine not in ("x86_64", "amd64"):
        return "plain"
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split())
    except (OSError, IndexError):
        # no such file: macOS and Windows on x86 since 2013 have these
        return "avx2"
    if {"avx512f", "avx512dq", "avx512bw", "avx512vl", "fma"} <= flags:
        return "avx512"
    return "avx2" if {"avx2", "fma"} <= flags else "plain"


@lru_cache
def isa() -> str:
    """The instruction set in use, read once: KARUSSELL_ISA if set, else the best."""
    chosen = os.environ.get("KARUSSELL_ISA") or best_isa()
    if chosen not in ISAS:
        raise MissingError(f"KARUSSELL_ISA is {chosen!r}; it must be one of {', '.join(ISAS)}")
    return chosen


@lru_cache
def compiler() -> str | None:
    """The C++ compiler: $CXX, else g++ or clang++; None if there is none."""
    for name in (os.environ.get("CXX"), "g++", "clang++"):
        if name and shutil.which(name):
            return shutil.which(name)
    return None


@lru_cache
def version(path: str) -> str:
    """The first line that a compiler says of itself."""
    return subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]


def flags(isa_name: str) -> list[str]:
    """What the compiler is given."""
    extra = os.environ.get("KARUSSELL_CXXFLAGS", "").split()
    return [*_COMMON, *ISAS[isa_name], "-fopenmp", *extra]
