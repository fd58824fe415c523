"""Every landmark's program runs, and the runner resumes, keeps to its budget and compares."""

import dataclasses
import json
from pathlib import Path

import pytest

from karussell import landmarks
from karussell.errors import InputError
from karussell.landmarks.docs import result_part
from karussell.landmarks.fresh import compared
from karussell.landmarks.gallery import gallery
from karussell.landmarks.landmark import Arm, Claim, Landmark, Outcome, Table, Trial, below, fails, near, succeeds
from karussell.landmarks.result import Result


@pytest.mark.parametrize("name", landmarks.NAMES)
def test_smoke(name: str) -> None:
    chosen = landmarks.landmark(name)
    result = landmarks.run(chosen, None, smoke=True, say=lambda _: None)
    assert all(len(rows) == 1 for rows in result.rows.values())
    assert any(arm["role"] == "control" for arm in result.arms)
    assert any(arm["role"] == "ours" for arm in result.arms)
    # every claim names arms that there are: with each row many times over it can be checked
    many = {arm: rows * 8 for arm, rows in result.rows.items()}
    assert all(claim.check(many) is not None for claim in chosen.claims) or name == "odyssey"
    assert Result.from_json(result.to_json()).to_json() == result.to_json()


def flip(trial: Trial, calls: list[int]) -> Outcome:
    calls.append(trial.seed)
    return Outcome(trial.seed % 2 == 0, True, float(trial.seed), {"seed": trial.seed})


def small(calls: list[int]) -> Landmark:
    return Landmark(
        "small", "Small", "2026", "nobody", "it counts", "1", "number", "even",
        (Arm("a", lambda t: flip(t, calls), seeds=6), Arm("b", lambda t: flip(t, calls), "control", seeds=5)),
        (Claim("half", succeeds("a")), Claim("never", fails("a")), Claim("near", near("a", 2.5, 2)),
         Claim("below", below("b", "a")), Claim("nobody", succeeds("c"))),
    )  # fmt: skip


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    calls: list[int] = []
    said: list[str] = []
    first = landmarks.run(small(calls), tmp_path, budget=0.0, say=said.append)
    assert calls == [0]
    assert "the budget of 0 minutes is used" in said[-1]
    assert [len(rows) for rows in first.rows.values()] == [1, 0]
    with open(tmp_path / "rows.jsonl", "a") as file:
        file.write('{"arm": "a", "se')
    whole = landmarks.run(small(calls), tmp_path, say=said.append)
    assert sorted(calls) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert [holds for _, holds, _ in whole.claims] == [True, False, True, True, None]
    assert whole.state == "partly"
    assert Result.from_json((tmp_path / "result.json").read_text()).rows == whole.rows
    landmarks.run(small(calls), tmp_path, say=said.append)
    assert len(calls) == 11


def test_arms_are_looked_up(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="small has no arm 'x'; it has 'a', 'b'"):
        landmarks.run(small([]), tmp_path, arms=["x"])
    with pytest.raises(InputError, match="there is no landmark 'nothing'"):
        landmarks.landmark("nothing")


def test_agreement(tmp_path: Path) -> None:
    same = landmarks.run(small([]), tmp_path / "a", say=lambda _: None)
    assert all(line.agrees for line in landmarks.agreement(same, same))
    assert [(line.same, line.shared) for line in landmarks.agreement(same, same)] == [(6, 6), (5, 5)]
    text = json.loads(same.to_json())
    for row in text["rows"]:
        row["value"] += 1000
    other = Result.from_json(json.dumps(text))
    assert [line.agrees for line in landmarks.agreement(same, other)] == [False, False]
    assert [(line.same, line.shared) for line in landmarks.agreement(same, other)] == [(0, 6), (0, 5)]


def test_a_file_of_something_else_is_refused() -> None:
    with pytest.raises(InputError, match="is no result of a landmark"):
        Result.from_json("{}", "x.json")


def test_arms_that_stand_apart_are_run_where_they_are_named(tmp_path: Path) -> None:
    arms = (Arm("a", lambda _: Outcome(True, True, 1.0)), Arm("b", lambda _: Outcome(True, True, 2.0), apart=True))
    one = dataclasses.replace(small([]), arms=arms, claims=())
    assert [len(rows) for rows in landmarks.run(one, tmp_path, seeds=1, say=lambda _: None).rows.values()] == [1, 0]
    named = landmarks.run(one, tmp_path, seeds=1, arms=["b"], say=lambda _: None)
    assert [len(rows) for rows in named.rows.values()] == [1, 1]
    assert [len(rows) for rows in landmarks.run(one, None, smoke=True, say=lambda _: None).rows.values()] == [1, 1]


def test_tables_follow_from_the_rows(tmp_path: Path) -> None:
    table = Table("Seeds", ("arm", "seeds"), (("a", "6"),), "How many.")
    chosen = dataclasses.replace(small([]), tables=lambda rows: [table] if len(rows["a"]) == 6 else [])
    result = landmarks.run(chosen, tmp_path, say=lambda _: None)
    assert result.tables == (table,)
    assert Result.from_json(result.to_json()).tables == (table,)
    assert "| a | 6 |" in result_part(result)
    assert "How many." in gallery([result])


def test_fresh_seeds_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = landmarks.run(small([]), tmp_path / "before", say=lambda _: None)
    landmarks.run(small([]), tmp_path / "fresh" / "small", first=100, say=lambda _: None)
    monkeypatch.setattr("karussell.landmarks.fresh.NAMES", ("small",))
    monkeypatch.setattr("karussell.landmarks.fresh.committed", lambda _: before)
    found = compared(tmp_path / "fresh")
    assert [(entry["arm"], entry["seeds"]) for entry in found] == [("a", "100-105"), ("b", "100-104")]
    assert not found[0]["agrees"]
    assert found[0]["fisher"] == 1.0
    (tmp_path / "same").mkdir()
    (tmp_path / "before").rename(tmp_path / "same" / "small")
    with pytest.raises(InputError, match="run others with --first"):
        compared(tmp_path / "same")
    with pytest.raises(InputError, match="has no NAME/result"):
        compared(tmp_path / "nothing")
