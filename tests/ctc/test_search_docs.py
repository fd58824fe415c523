"""The examples of the pages on the search run as they stand."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["coming_from.md", "ctc.md"])
def test_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.M | re.S)
    wanted = [block for block in blocks if "karussell.ctc.search" in block or "karussell.ctc.doors" in block]
    assert wanted
    for block in wanted:
        exec(compile(block, page, "exec"), {})
