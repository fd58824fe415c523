"""`karussell landmarks`: the table, the data, a run, and what it says of words it does not know."""

import json
from pathlib import Path

import pytest

from karussell.cli import main
from karussell.landmarks import NAMES


def test_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["landmarks", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["landmark"] for entry in found] == list(NAMES)


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["landmarks"]) == 0
    shown = capsys.readouterr().out
    assert all(column in shown for column in ("landmark", "published", "control", "state"))
    assert "temporal_order" in shown


def test_a_run_leaves_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["landmarks", "run", "vanishing_gradients", "--seeds", "1", "--arms", "carousel of 1997"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"rows.jsonl", "result.json", "page.html"}
    said = capsys.readouterr().err
    assert "carousel of 1997: agrees with the committed result" in said
    assert "1 of the 1 seeds that both have gave the same" in said


def test_smoke_writes_nothing(tmp_path: Path) -> None:
    assert main(["landmarks", "run", "adding", "--smoke", "--out", str(tmp_path / "x")]) == 0
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run"], "landmarks run needs a name"),
        (["run", "nothing"], "there is no landmark 'nothing'"),
        (["run", "adding", "--seeds", "0"], "--seeds is 0"),
        (["run", "adding", "--arms", "x"], "adding has no arm 'x'"),
    ],
)
def test_errors_are_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["landmarks", *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
