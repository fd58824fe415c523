"""The Python on the pages about tasks and forecasting runs as it stands, and their figures are the measured ones."""

import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["forecast.md", "tasks.md"])
def test_the_examples_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page == "forecast.md":
        pytest.importorskip("pandas", reason="tables of series need pandas")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), {})


def test_the_figures_on_the_page_are_those_of_the_result_files() -> None:
    page = (DOCS / "forecast.md").read_text()
    for name, score, shown in (
        ("m4_hourly", "smape", ".2f"),
        ("m4_hourly", "mase", ".3f"),
        ("etth1", "mse", ".3f"),
        ("illness", "mse", ".3f"),
    ):
        found = json.loads((DOCS / "results" / f"forecast_{name}.json").read_text())["test"]
        assert f"| {found[score]:{shown}} |" in page
        assert f"| {100 * found['coverage']['inside_0.8']:.1f} % |" in page
