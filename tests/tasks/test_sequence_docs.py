"""What the pages about classifying and tagging show runs as it stands, and their figures are the measured ones."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from karussell.cli import main

DOCS = Path(__file__).parents[2] / "docs"
RESULTS = DOCS / "results"


@pytest.mark.parametrize("page", ["classify.md", "tag.md"])
def test_the_examples_and_the_commands_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```(python|bash)\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert {kind for kind, _ in blocks} == {"python", "bash"}
    for kind, block in blocks:
        if kind == "python":
            exec(compile(block, page, "exec"), {})
            continue
        for line in block.splitlines():
            _, *words = shlex.split(line, comments=True)
            # a training as it is called, but for its length and size
            short = ["--epochs", "1", "--hidden", "4", "--device", "cpu"]
            short += ["--members", "2", "--network.channels", "[4]"] if page == "classify.md" else []
            assert main([*words, *(short if words[0] == "train" else [])]) == 0, capsys.readouterr().err


def test_the_figures_are_those_of_the_result_files() -> None:
    classify, tag = ((DOCS / page).read_text() for page in ("classify.md", "tag.md"))

    def first(path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((RESULTS / path).read_text())["test"]
        return {**found["scores"][0], "steps": found.get("steps", 0)}

    sets = [first(f"ucr/{path.name}") | {"set": path.stem} for path in sorted((RESULTS / "ucr").glob("*.json"))]
    for row in sets:
        cells = re.search(rf"\| {row['set']} \| ([\d.]+) \| [\d.]+ \| ([\d.]+) \|", classify)
        assert cells
        assert cells.groups() == (f"{100 * row['value']:.1f}", f"{100 * row['floor']:.1f}")
    above = sum(row["value"] - row["floor"] for row in sets) / len(sets)
    assert len(sets) == 9
    assert f"{100 * above:.2f} above the best way" in classify
    for name, page in (("japanese_vowels", classify), ("qc", classify), ("conll2000", tag), ("atis", tag)):
        assert f"| {100 * first(f'{name}.json')['value']:.2f} % | {100 * first(f'{name}.json')['floor']:.2f} %" in page
    folds = [first(f"cb513/{k}.json") for k in range(7)]
    means = [sum(row["steps"] * row[key] for row in folds) / sum(row["steps"] for row in folds) for key in _BOTH]
    assert "| {:.2f} % | {:.2f} %".format(*(100 * mean for mean in means)) in tag


_BOTH = ("value", "floor")
