"""The shape of the house: floors, no import circles, short files, light imports."""

import ast
import subprocess
import sys
from pathlib import Path

import karussell

PACKAGE = Path(karussell.__file__).parent
FLOORS = {
    "errors": -2, "files": -2, "native": -1, "runtime": -1, "cells": 0, "program": 0, "ops": 0, "ctc": 0, "data": 0,
    "report": 0, "nn": 1, "train": 2, "tasks": 3, "serve": 4, "landmarks": 4, "bench": 4, "cli": 5, "__main__": 6,
    "__init__": 6,
}  # fmt: skip
GROUND = {("runtime", "native"), ("program", "cells"), ("ops", "cells"), ("ops", "program")}
HEAVY = ("soundfile", "soxr", "kaldi_native_fbank", "jiwer", "matplotlib", "rich", "jsonargparse", "accelerate")
LIMIT = 400


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts
        found[".".join(("karussell", *parts))] = path
    return found


def imports(path: Path) -> set[str]:
    """Every module of ours that a file names, function-level imports included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("karussell"):
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("karussell")}
    return names


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def test_imports_point_down():
    wrong = []
    for module, path in modules().items():
        here = room(module)
        assert here in FLOORS, f"{module} stands in no room of the house; give it a floor"
        for target in imports(path):
            there = room(target)
            if there == here or there not in FLOORS or here in ("__init__", "__main__"):
                continue
            level = FLOORS[here] == FLOORS[there]
            if FLOORS[there] > FLOORS[here] or (level and (here, there) not in GROUND):
                wrong.append(f"{module} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_no_import_circles():
    known = modules()
    # a package's own __init__ names its modules for the public; circles through it are not circles of the code
    graph = {
        m: {t for t in imports(p) if t in known and t != m and not m.startswith(t + ".")}
        for m, p in known.items()
        if p.name != "__init__.py" or m.count(".") > 1
    }
    done, path = set(), []

    def visit(module: str) -> None:
        if module in done or module not in graph:
            return
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        path.append(module)
        for target in sorted(graph[module]):
            visit(target)
        path.pop()
        done.add(module)

    for module in sorted(graph):
        visit(module)


def test_files_are_short():
    root = PACKAGE.parents[1]
    files = [p for folder in ("src", "tests", "benchmarks", "tools") for p in (root / folder).rglob("*.py")]
    files += [p for end in ("h", "cpp", "c") for p in PACKAGE.rglob(f"*.{end}")]
    long = {str(p.relative_to(root)): n for p in files if (n := len(p.read_text().splitlines())) > LIMIT}
    assert not long, f"over {LIMIT} lines: {long}"


def test_no_keyword_pass_through():
    wrong = []
    for module, path in modules().items():
        if room(module) not in ("cells", "program", "ops", "nn", "ctc", "data", "train", "tasks"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.args.kwarg:
                wrong.append(f"{module}.{node.name}")
    assert not wrong, f"**kwargs hide misspelt arguments: {wrong}"


def test_nothing_is_unpickled():
    words = ("import pickle", "torch.load(", "pickle.load", "yaml.load(", "np.load(", "allow_pickle=True")
    wrong = [f"{m}: {w}" for m, p in modules().items() for w in words if w in p.read_text()]
    assert not wrong, wrong


def test_import_is_light():
    code = (
        "import sys, karussell, karussell.cells, karussell.ops, karussell.nn, karussell.ctc;"
        f"heavy = [m for m in {HEAVY!r} if m in sys.modules];"
        "print(heavy); sys.exit(bool(heavy))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
