"""`karussell train` on a table of series, end to end: the task is found, the budget kept, the folder used."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from command_line import Karussell

pytest.importorskip("pandas", reason="tables of series need pandas")

QUICK = shlex.split("--epochs 1 --epoch_steps 3 --hidden 4 --batch_size 8 --device cpu --horizon 4 --context 12")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("series") / "sales.csv"
    days = np.arange("2026-01-01", "2026-03-12", dtype="datetime64[D]")
    rows = [f"{day},{10 + k % 7},{100 - k % 7}" for k, day in enumerate(days)]
    path.write_text("date,north,south\n" + "\n".join(rows) + "\n")
    return path


def test_a_table_of_series_becomes_a_forecaster(karussell: Karussell, table: Path) -> None:
    out = table.parent / "model"
    done = karussell("train", table, "--out", out, "--budget", "5m", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "task: forecast (a table with the times 'date'); --task overrides" in done.stderr
    assert "floor" in done.stdout
    assert f"karussell predict {out} {table}" in done.stdout
    assert f"karussell evaluate {out} LATER --history {table}" in done.stdout
    found = karussell("predict", out, table)
    lines = found.stdout.splitlines()
    assert lines[0] == "unique_id,ds,mean,q05,q10,q25,q50,q75,q90,q95"
    assert len(lines) == 1 + 2 * 4
    assert lines[1].startswith("north,2026-03-12,")
    scored = karussell("evaluate", out, table)
    assert "sMAPE" in scored.stdout
    assert "floor" in scored.stdout


def test_the_list_of_tasks_and_what_is_refused(karussell: Karussell, tmp_path: Path) -> None:
    listed = karussell("tasks").stdout
    for name in ("transcribe", "forecast", "classify", "tag"):
        assert f"\n{name} " in f"\n{listed}"
    (tmp_path / "letter.txt").write_text("dear all\n")
    for words, message in (
        (("train", tmp_path / "letter.txt", "--out", tmp_path / "a"), "cannot be told from its beginning"),
        (("train", tmp_path / "letter.txt", "--task", "guess", "--out", tmp_path / "a"), "there is no task 'guess'"),
    ):
        done = karussell(*words)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "a").exists()
