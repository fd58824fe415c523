"""`karussell doctor`: what is installed, what this machine has, and what can run on it."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, requires, version

from jsonargparse import ArgumentParser, Namespace

from karussell.cli.command import Command
from karussell.errors import KarussellError


def declare(parser: ArgumentParser) -> None:
    """Add no arguments."""


def run(given: Namespace, words: list[str]) -> int:  # noqa: ARG001 - every command gets them
    """Print the state of the installation."""
    from rich.console import Console
    from rich.table import Table

    # a table may be wider than the terminal where it is not one: a log keeps whole lines
    console = Console(soft_wrap=True, highlight=False)
    for title, rows in (
        ("machine", _machine()),
        ("packages", _packages()),
        ("engines", _engines()),
    ):
        table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        console.print()
    return 0


def _machine() -> list[tuple[str, str]]:
    import torch

    from karussell.native import triton

    rows = [
        ("python", platform.python_version()),
        ("system", f"{platform.system()} {platform.machine()}"),
        ("cores", f"{_cores()} usable, {torch.get_num_threads()} threads of torch"),
        ("torch", torch.__version__),
        ("compiler", _compiler()),
        ("triton", triton.describe()),
    ]
    if torch.cuda.is_available():
        rows += [(f"cuda:{k}", torch.cuda.get_device_name(k)) for k in range(torch.cuda.device_count())]
    elif torch.backends.mps.is_available():
        rows.append(("mps", "available"))
    else:
        rows.append(("accelerator", "none: everything runs on the CPU"))
    return rows


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _compiler() -> str:
    for name in ("g++", "clang++"):
        path = shutil.which(name)
        if path:
            answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
            return f"{answer.stdout.splitlines()[0] if answer.stdout else name} ({path})"
    return "none: new cells run on the reference engine; install g++ to compile them"


def _packages() -> list[tuple[str, str, str]]:
    rows = []
    for requirement in requires("karussell") or []:
        name, _, marker = requirement.partition(";")
        package = name.strip().split("[")[0]
        for sign in "<>=!~ ":
            package = package.split(sign)[0]
        extra = marker.split("==")[1].strip(" '\"") if "extra" in marker else ""
        missing = f"missing: pip install 'karussell[{extra}]'" if extra else f"missing: pip install {package}"
        try:
            rows.append((package, version(package), extra and f"[{extra}]"))
        except PackageNotFoundError:
            rows.append((package, missing, extra and f"[{extra}]"))
    return rows


def _engines() -> list[tuple[str, str]]:
    import torch

    from karussell.nn import LSTM
    from karussell.ops import Engine, watch

    rows = []
    for engine in Engine:
        try:
            with watch() as ran:
                LSTM(3, 4, engine=engine)(torch.zeros(2, 1, 3))
            rows.append(
                (engine.value, f"runs an LSTM (on {ran[-1].value})" if engine is Engine.auto else "runs an LSTM")
            )
        except KarussellError as error:
            rows.append((engine.value, f"cannot run: {error}"))
    return rows


COMMAND = Command(
    "doctor",
    "say what is installed and what can run here",
    "doctor",
    "Say what is installed, what this machine has, and what can run on it.",
    declare,
    run,
)
