"""The examples of the page on engines run as they stand, and what it says of numbers is what tests hold."""

import re
from pathlib import Path

import test_native_functions
from test_cpp_parity import TOLERANCE

from karussell import native, ops
from karussell.cells import CELLS
from karussell.program import program

PAGE = (Path(__file__).parents[2] / "docs" / "engines.md").read_text(encoding="utf-8")


def test_examples_run(capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    assert len(blocks) == 3
    space: dict = {}
    exec(compile("\n".join(blocks), "engines.md", "exec"), space)
    printed = capsys.readouterr().out
    assert "engine 'scan' was forced, but lstm multiplies a state" in printed
    assert space["ran"] == ["cpp"]
    assert space["p"].saved == 3


def test_every_engine_and_variable_is_on_the_page():
    for engine in ops.Engine:
        assert f"`{engine}`" in PAGE
    for isa in native.ISAS:
        assert f"`{isa}`" in PAGE
    source = "".join(p.read_text() for p in Path(native.__file__).parent.glob("*.py"))
    for variable in re.findall(r'environ\.get\("(\w+)"', source):
        assert f"`{variable}`" in PAGE


def test_the_numbers_on_the_page_are_held_by_tests():
    assert max(test_native_functions.BOUND.values()) == 3
    assert [f"{v:.0e}" for v in TOLERANCE.values()] == ["1e-05", "1e-14"]
    saved = {c.name: program(c).saved for c in CELLS}
    assert (saved["lstm"], saved["gru"], saved["rnn"]) == (4, 4, 0)
