"""`train`, `evaluate` and `predict` of tables of series as a stranger types them; bad data is one sentence."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from command_line import refused, say

from karussell.cli import main

pandas = pytest.importorskip("pandas", reason="tables of series need pandas")

QUICK = shlex.split("--epochs 1 --epoch_steps 2 --hidden 4 --batch_size 8 --device cpu --horizon 4 --context 12")


def frame(days: int = 60, start: str = "2026-01-01") -> "pandas.DataFrame":
    times = pandas.date_range(start, periods=days, freq="D")
    rows = [pandas.DataFrame({"unique_id": name, "ds": times, "y": 10.0 + np.arange(days) % 7}) for name in ("a", "b")]
    return pandas.concat(rows, ignore_index=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A forecaster of a long table, trained by the command with nothing said about the task."""
    made = tmp_path_factory.mktemp("series")
    frame().to_csv(made / "sales.csv", index=False)
    assert main(["train", str(made / "sales.csv"), "--out", str(made / "model"), *QUICK]) == 0
    return made


def test_csv_and_parquet_give_the_same_forecasts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame().to_parquet(folder / "sales.parquet")
    status, out, err = say(capsys, "predict", folder / "model", folder / "sales.csv")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("unique_id,ds,mean,q05")
    assert [line.split(",")[:2] for line in lines[1:5]] == [["a", f"2026-03-0{k}"] for k in range(2, 6)]
    assert say(capsys, "predict", folder / "model", folder / "sales.parquet")[1] == out
    rows = [json.loads(r) for r in say(capsys, "predict", folder / "model", folder / "sales.csv", "--json")[1].split()]
    assert [row["unique_id"] for row in rows] == ["a"] * 4 + ["b"] * 4


def test_rows_after_the_history_are_scored_and_nothing_else(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame(10, "2026-03-02").to_csv(folder / "later.csv", index=False)
    words = ("evaluate", folder / "model", folder / "later.csv", "--history", folder / "sales.csv", "--json")
    found = json.loads(say(capsys, *words)[1])
    assert (found["windows"], found["series"]) == (2 * 7, 2)
    share = 100 * found["coverage"]["inside_0.8"]
    assert f"the 80 % interval holds {share:.1f} % of the values" in say(capsys, *words[:-1])[1]


REPAIRS = {
    "out of order": (lambda d: d.iloc[::-1], "have been sorted"),
    "twice": (lambda d: pandas.concat([d, d.iloc[:3]]), "stand there twice and count once"),
    "infinite": (lambda d: d.assign(y=d.y.where(d.index != 5, np.inf)), "1 infinite values are taken as missing"),
    "gaps": (lambda d: d.drop(index=[5, 6]), "2 values are missing within the series"),
    "a column more": (lambda d: d.assign(weather="fine"), "the columns weather are passed over"),
    "nothing of one series": (lambda d: d.assign(y=d.y.where(d.unique_id == "a")), "left out: b"),
    "one point": (lambda d: d.iloc[:61], ""),
    "constant": (lambda d: d.assign(y=3.0), ""),
}


@pytest.mark.parametrize("name", REPAIRS)
def test_what_is_repaired_is_said_at_predict_time(
    name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, message = REPAIRS[name]
    change(frame()).to_csv(tmp_path / "new.csv", index=False)
    status, out, err = say(capsys, "predict", folder / "model", tmp_path / "new.csv")
    assert status == 0
    assert message in err
    assert "nan" not in out
    assert len(out.splitlines()) == 1 + 4 * (1 if "left out" in message else 2)


BAD = {
    "words": (lambda d: d.assign(y=["many", *d.y[1:]]), "'many' is no number"),
    "all missing": (lambda d: d.assign(y=np.nan), "every value in the data is missing"),
    "two values at one time": (lambda d: pandas.concat([d, d.iloc[:1].assign(y=99)]), "two different rows at"),
    "a column missing": (lambda d: d.drop(columns="y"), "has no column 'y', which the model was trained with"),
    "another step": (lambda d: d.iloc[::2], "mixed frequencies"),
    "no time": (lambda d: d.assign(ds=["soon", *d.ds.astype(str)[1:]]), "'soon' is no time"),
    "no name": (lambda d: d.assign(unique_id=[None, *d.unique_id[1:]]), "the name of the series is empty"),
    "no rows": (lambda d: d.iloc[:0], "has no rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_repaired_is_one_sentence(
    name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, message = BAD[name]
    change(frame()).to_csv(tmp_path / "new.csv", index=False)
    assert message in refused(capsys, "predict", folder / "model", tmp_path / "new.csv")
    if name not in ("a column missing", "another step", "no time", "no rows"):
        assert message in refused(capsys, "train", tmp_path / "new.csv", "--out", tmp_path / "model", *QUICK)
        assert not (tmp_path / "model").exists()
