"""The examples of the two pages of documentation run, in order, in an empty folder."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["ctc.md", "report.md"])
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(DOCS / name), "exec"), names)
    if name == "report.md":
        assert (tmp_path / "report.html").stat().st_size > 10_000
        assert (tmp_path / "two.html").stat().st_size > 10_000
