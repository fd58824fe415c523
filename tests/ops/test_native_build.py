"""Builds: no compiler, a broken one, a cache that cannot be written, many processes at once; real processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from karussell import cells, native
from karussell.errors import MissingError
from karussell.native import library as building
from karussell.ops.native import HEADERS, source
from karussell.program import program
from karussell.program.emit_cpp import emit
from user_cells import EVERY

SCRIPT = """
import torch
from karussell import cells
from karussell.ops import Weights, recurrence, shapes

def run(cell, engine):
    torch.manual_seed(0)
    need = shapes(cell, 3, 8)
    weights = Weights(
        torch.randn(need.w), tuple(torch.randn(r) for r in need.r), torch.randn(need.b),
        units={n: torch.ones(8) for n in cell.units},
    )
    x = torch.randn(4, 2, 3, requires_grad=True)
    try:
        result = recurrence(cell, x, weights, engine=engine)
        result.y.sum().backward()
        print(cell.name, engine, "ran", result.engine, x.grad.abs().sum().item())
    except Exception as error:
        print(cell.name, engine, type(error).__name__, " ".join(str(error).split()))
"""


QUICK = "-O0"
"""Where only what becomes of a build is asked."""


def outcome(folder: Path, calls: str, **environment: str | None) -> str:
    """What a new process prints, with its own cache folder; a variable that is None is not set."""
    given = {
        **os.environ,
        "KARUSSELL_HOME": str(folder),
        "OMP_NUM_THREADS": "1",
        "KARUSSELL_CXXFLAGS": QUICK,
        **environment,
    }
    given = {k: v for k, v in given.items() if v is not None}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT + calls], env=given, capture_output=True, text=True, check=True, timeout=200
    )
    return run.stdout


def script(path: Path, text: str) -> str:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


BOTH = "run(cells.LSTM, 'auto'); run(cells.MinLSTM, 'auto'); run(cells.MinLSTM, 'cpp')"


@pytest.mark.parametrize("named", [None, "no-such-compiler"], ids=["none", "nonsense"])
def test_without_a_compiler(tmp_path, named):
    lstm, auto, forced = outcome(tmp_path, BOTH, PATH="", CXX=named).splitlines()
    assert lstm.startswith("lstm auto ran vendor")
    assert auto.startswith("min_lstm auto ran reference")
    assert "EngineError engine 'cpp' was forced, but there is no C++ compiler" in forced
    assert "install g++ or clang++" in forced
    assert "CXX" in forced
    # and nothing was left behind
    assert not list(tmp_path.rglob("*.so"))


BROKEN = {
    "refuses_everything": "exit 1\n",
    "cannot_link": '[ "$1" = --version ] && echo fake 1.0 && exit 0\necho "cannot find -lgomp" >&2\nexit 1\n',
    "makes_nothing": "exit 0\n",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_with_a_compiler_that_does_not_work(tmp_path, text):
    broken = script(tmp_path / "broken-c++", text)
    lstm, auto, forced = outcome(tmp_path / "cache", BOTH, CXX=broken).splitlines()
    assert lstm.startswith("lstm auto ran vendor")
    assert auto.startswith("min_lstm auto ran reference")
    assert "broken-c++" in forced
    assert forced.split()[2] in ("EngineError", "MissingError")


@pytest.mark.parametrize("where", ["a_file", "nowhere"])
def test_with_a_cache_folder_that_cannot_be_made(tmp_path, where):
    (tmp_path / "a_file").write_text("")
    home = tmp_path / "a_file" if where == "a_file" else Path("/proc/no/such/folder")
    lstm, auto, forced = outcome(home, BOTH).splitlines()
    assert lstm.startswith("lstm auto ran vendor")
    assert auto.split()[3] in ("cpp", "reference")
    # either it was built elsewhere, or the sentence names the folder
    assert forced.startswith("min_lstm cpp ran cpp") or str(home) in forced
    assert forced.split()[2] in ("ran", "EngineError", "MissingError")


def test_a_cache_folder_that_can_only_be_read_is_read(tmp_path):
    """Built once by an administrator, used by everybody: no lock, no folder, no file is made then."""
    first = outcome(tmp_path, "run(cells.MinLSTM, 'cpp')")
    for path in (tmp_path / "native").glob("*.lock"):
        path.unlink()
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    assert outcome(tmp_path, "run(cells.MinLSTM, 'cpp')") == first
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


def test_of_many_processes_one_compiles(tmp_path):
    log = tmp_path / "log"
    tool = native.compiler()
    counting = script(tmp_path / "counting-c++", f'[ "$1" = --version ] || echo run >> {log}\nexec {tool} "$@"\n')
    environment = {
        **os.environ,
        "KARUSSELL_HOME": str(tmp_path / "cache"),
        "CXX": counting,
        "OMP_NUM_THREADS": "1",
        "KARUSSELL_CXXFLAGS": QUICK,
    }
    command = [sys.executable, "-c", SCRIPT + "run(cells.MinLSTM, 'cpp')"]
    many = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(5)]
    printed = [p.communicate(timeout=200)[0] for p in many]
    assert [p.returncode for p in many] == [0] * 5
    assert printed[0].startswith("min_lstm cpp ran cpp")
    assert len(set(printed)) == 1
    # the cell's loop, and the products that all cells share; of each one library and its lock, no half-made folder
    assert log.read_text().split() == ["run"] * 2
    assert sorted(p.suffix for p in (tmp_path / "cache" / "native").iterdir()) == [".lock"] * 2 + [".so"] * 2


def test_an_interrupted_build_leaves_nothing_that_is_taken_for_one(tmp_path):
    killed = script(tmp_path / "killed-c++", '[ "$1" = --version ] && echo fake && exit 0\nkill -9 $PPID\nsleep 5\n')
    environment = {**os.environ, "KARUSSELL_HOME": str(tmp_path / "cache"), "CXX": killed}
    run = subprocess.run([sys.executable, "-c", SCRIPT + "run(cells.MinLSTM, 'cpp')"], env=environment, timeout=200)
    assert run.returncode == -9
    assert outcome(tmp_path / "cache", "run(cells.MinLSTM, 'cpp')").startswith("min_lstm cpp ran cpp")


def test_another_compiler_or_other_flags_are_another_build(monkeypatch, tmp_path):
    made = program(cells.MinLSTM)
    monkeypatch.setenv("KARUSSELL_HOME", str(tmp_path))
    paths = []
    monkeypatch.setattr(building, "build", lambda source, isa, path: paths.append(path))
    for isa in ("plain", "avx2"):
        for extra in ("", "-g"):
            monkeypatch.setenv("KARUSSELL_CXXFLAGS", extra)
            native.find(source(made), isa)
    native.find(source(program(cells.MinGRU)), "avx2")
    assert len(set(paths)) == 5


def test_a_narrower_instruction_set(tmp_path):
    narrower = {"avx512": ["avx2", "plain"], "avx2": ["plain"]}.get(native.best_isa(), [])
    if not narrower:
        pytest.skip(f"there is none beside {native.best_isa()}")
    wide = outcome(tmp_path, "run(cells.LSTM1997, 'cpp')", KARUSSELL_CXXFLAGS="")
    for isa in narrower:
        narrow = outcome(tmp_path, "run(cells.LSTM1997, 'cpp')", KARUSSELL_CXXFLAGS="", KARUSSELL_ISA=isa)
        assert wide.split()[:4] == narrow.split()[:4] == ["lstm_1997", "cpp", "ran", "cpp"]
        assert float(wide.split()[4]) == pytest.approx(float(narrow.split()[4]), rel=1e-5)
        assert len(list(tmp_path.rglob(f"*-f32-*{isa}.so"))) == 2


def test_an_unknown_instruction_set_is_refused(tmp_path):
    said = outcome(tmp_path, "run(cells.MinLSTM, 'cpp')", KARUSSELL_ISA="mmx")
    assert "MissingError KARUSSELL_ISA is 'mmx'; it must be one of avx512, avx2, neon, plain" in said


def test_a_build_is_compiled_without_a_warning(tmp_path):
    """What a careful compiler says of the emitted code and the headers; what a cell has no use for may lie idle."""
    idle = [f"-Wno-unused-{what}" for what in ("parameter", "but-set-parameter", "variable", "but-set-variable")]
    for cell in (cells.FGR, *EVERY[-3:]):
        text = tmp_path / "cell.cpp"
        text.write_text(emit(program(cell)))
        flags = [*native.flags(native.isa()), "-O0", "-Wall", "-Wextra", "-Wno-psabi", *idle, "-fsyntax-only"]
        command = [native.compiler(), *flags, "-I", str(HEADERS), str(text)]
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert not run.stderr, run.stderr[:2000]


def test_what_is_missing_is_said_where_it_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(building, "compiler", lambda: None)
    monkeypatch.setenv("KARUSSELL_HOME", str(tmp_path))
    with pytest.raises(MissingError, match=r"install g\+\+ or clang\+\+, or set CXX"):
        native.build(source(program(cells.MinLSTM)), native.isa(), tmp_path / "cell.so")
