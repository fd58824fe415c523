"""What the pages about tasks and forecasting show runs as it stands, and their figures are the measured ones."""

import json
import re
import shlex
from pathlib import Path

import pytest

from karussell.cli import main

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["forecast.md", "tasks.md"])
def test_the_examples_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page == "forecast.md":
        pytest.importorskip("pandas", reason="tables of series need pandas")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```(python|bash)\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert any(kind == "python" for kind, _ in blocks)
    for kind, block in blocks:
        if kind == "python":
            exec(compile(block, page, "exec"), {})
        elif page == "forecast.md" and "pip install" not in block:
            for line in block.splitlines():
                # what a shell does with the output is not what is tested
                _, *words = shlex.split(line.split(">")[0], comments=True)
                short = ["--epochs", "1", "--epoch_steps", "3", "--hidden", "4", "--device", "cpu"]
                assert main([*words, *(short if words[0] == "train" else [])]) == 0


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


def test_the_peers_on_the_page_are_those_of_the_result_file() -> None:
    page = (DOCS / "forecast.md").read_text().split("<!-- peers -->")[1]
    peers = json.loads((DOCS / "results" / "forecast_peers.json").read_text())
    for name, score, shown in (("m4_hourly", "smape", ".2f"), ("etth1", "mse", ".3f"), ("illness", "mse", ".3f")):
        own = json.loads((DOCS / "results" / f"forecast_{name}.json").read_text())["test"]
        rows = [own, *(peers.get(f"{name} {kind}") for kind in ("LSTM", "DLinear"))]
        assert f"| {' | '.join(f'{row[score]:{shown}}' if row else '' for row in rows)} |" in page
