"""Compiles a cell's loop on first use, keeps it, and says exactly what is missing.

A compiled engine is one shared library with a plain C interface: no torch headers, no Python headers, so one build
serves every torch and every Python. It is found under a name made of the program, the headers, the flags, the
compiler and the processor's instruction set; builds that ship with the package are looked at first.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from karussell.errors import MissingError
from karussell.files import home
from karussell.program import Program
from karussell.program.emit_cpp import emit

HEADERS = Path(__file__).parent / "recurrence" / "loop"
CARRIED = Path(__file__).parent / "recurrence" / "built"
_COMMON = ["-std=c++20", "-O3", "-fPIC", "-shared", "-fvisibility=hidden"]
_COMMON += ["-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
ISAS = {
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"],
    "avx2": ["-mavx2", "-mfma"],
    "neon": ["-march=armv8-a"],
    "plain": [],
}
_lock = threading.Lock()
_loaded: dict[str, ctypes.CDLL] = {}
_failed: dict[str, str] = {}


@lru_cache
def best_isa() -> str:
    """The widest instruction set of this processor that the loop is written for."""
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
def _version(path: str) -> str:
    return subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]


@lru_cache
def _headers_hash() -> str:
    text = b"".join(p.read_bytes() for p in sorted(HEADERS.glob("*.h")))
    return hashlib.sha256(text).hexdigest()[:12]


def flags(isa_name: str) -> list[str]:
    """What the compiler is given."""
    extra = os.environ.get("KARUSSELL_CXXFLAGS", "").split()
    return [*_COMMON, *ISAS[isa_name], "-fopenmp", *extra]


def carried(program: Program, isa_name: str) -> Path | None:
    """The build that came with the package, if it was made from these very headers."""
    path = CARRIED / f"{program.digest}-{_headers_hash()}-{isa_name}.so"
    return path if path.exists() else None


def why_not(program: Program) -> str | None:
    """Why this program cannot run compiled here; None if it can. The first question builds it."""
    if program.digest in _loaded:
        return None
    return _missing(program) or _why_not_built(program)


def _missing(program: Program) -> str | None:
    """What a build would need and is not here."""
    if os.name != "posix":
        return f"compiled engines are not built for {platform.system()} yet"
    if carried(program, isa()) or compiler():
        return None
    return (
        "there is no C++ compiler here and no build of this cell came with the package; install g++ or clang++ "
        "(Debian: apt install g++) or set CXX to one"
    )


def _why_not_built(program: Program) -> str | None:
    """Build it if that has not been tried; the reason if it cannot be had, told once and remembered."""
    if program.digest not in _failed:
        try:
            load(program)
        except (MissingError, OSError, subprocess.SubprocessError) as error:
            _failed[program.digest] = f"its build failed: {error}"
            warnings.warn(
                f"{program.name} cannot be compiled here, so other engines run it, much slower: {error}", stacklevel=2
            )
    return _failed.get(program.digest)


def load(program: Program) -> ctypes.CDLL:
    """The compiled engine of a program; MissingError if it is neither here nor can be made."""
    library = _loaded.get(program.digest)
    if library is None:
        with _lock:
            library = _loaded.get(program.digest) or ctypes.CDLL(str(_find(program, isa())))
            _declare(library)
            _loaded[program.digest] = library
    return library


def _declare(library: ctypes.CDLL) -> None:
    for kind in ("f32", "f64"):
        for name in (f"{kind}_forward", f"{kind}_backward"):
            getattr(library, name).argtypes = [ctypes.c_void_p]
            getattr(library, name).restype = None
        packed = getattr(library, f"{kind}_packed")
        packed.argtypes, packed.restype = [ctypes.c_int64] * 3, ctypes.c_int64


def _find(program: Program, isa_name: str) -> Path:
    path = carried(program, isa_name)
    if path is not None:
        return path
    reason = _missing(program)
    if reason is not None:
        raise MissingError(f"engine 'cpp' cannot run {program.name}: {reason}")
    tool = compiler()
    assert tool is not None
    text = emit(program)
    made_of = "\n".join([text, _headers_hash(), *flags(isa_name), tool, _version(tool)])
    path = home() / "native" / f"{program.digest}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}-{isa_name}.so"
    try:
        if not path.exists():
            with _only_one(path):
                if not path.exists():
                    build(program, isa_name, path)
    except OSError as error:
        raise MissingError(
            f"engine 'cpp' cannot run {program.name}: its build cannot be kept in '{path.parent}' ({error}); "
            "set KARUSSELL_HOME to a folder that can be written"
        ) from error
    return path


def build(program: Program, isa_name: str, path: Path) -> None:
    """Compile a program into `path`, which appears whole or not at all."""
    tool = compiler()
    if tool is None:
        raise MissingError("there is no C++ compiler here; install g++ or clang++, or set CXX to one")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        source, target = Path(folder) / "cell.cpp", Path(folder) / "cell.so"
        source.write_text(emit(program))
        command = [tool, *flags(isa_name), "-I", str(HEADERS), str(source), "-o", str(target)]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode or not target.exists():
            raise MissingError(
                f"engine 'cpp' cannot run {program.name}: {tool} failed to compile it. {run.stderr[-2000:]}"
            )
        os.replace(target, path)


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Of many processes that start at once, one compiles and the others wait."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
