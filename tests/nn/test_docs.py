"""The examples of the pages on cells and layers run as they stand."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["cells.md", "nn.md"])
def test_examples_run(page):
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.M | re.S)
    assert len(blocks) > 2
    code = "\n".join(blocks)
    exec(compile(code, page, "exec"), {})
