"""`train`, `evaluate` and `predict` of labelled sequences as a stranger types them; bad data is one sentence."""

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import refused, say

from karussell.cli import main

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))

from sequences import questions, waves, words

QUICK = shlex.split("--epochs 1 --hidden 4 --batch_size 16 --device cpu")


def ts(path: Path, count: int, seed: int) -> Path:
    rows = [",".join(f"{v:.4f}" for [v] in e.values.tolist()) + f":{e.label}" for e in waves(count, seed)]
    path.write_text("@timeStamps false\n@classLabel true noise sine square\n@data\n" + "\n".join(rows) + "\n")
    return path


def ucr(path: Path, count: int, seed: int) -> Path:
    rows = [[e.label == "sine", *e.values[:20, 0].tolist()] for e in waves(count, seed)]
    path.write_text("".join("\t".join(str(float(cell)) for cell in row) + "\n" for row in rows))
    return path


def texts(path: Path, count: int, seed: int, *, labelled: bool = True) -> Path:
    rows = [(" ".join(e.columns[0]), e.label) for e in questions(count, seed)]
    head = "text,label\n" if labelled else "text\n"
    path.write_text(head + "".join(f"{text},{label}\n" if labelled else f"{text}\n" for text, label in rows))
    return path


def conll(path: Path, count: int, seed: int, *, labelled: bool = True) -> Path:
    blocks = []
    for e in words(count, seed):
        columns = [*e.columns, *([e.tags] if labelled else [])]
        blocks.append("".join(" ".join(row) + "\n" for row in zip(*columns, strict=True)))
    path.write_text("\n".join(blocks))
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of every kind of data, trained by the command from files alone, with nothing said about the task."""
    folder = tmp_path_factory.mktemp("models")
    small = ["--network.channels", "[4]", "--network.widths", "[3]", "--members", "2", *QUICK]
    for name, data, more in (
        ("waves", ts(folder / "waves.ts", 12, 1), small),
        ("table", ucr(folder / "table.tsv", 12, 1), small),
        ("questions", texts(folder / "questions.csv", 12, 1), ["--members", "2", *QUICK]),
        ("words", conll(folder / "words.conll", 12, 1), QUICK),
    ):
        assert main(["train", str(data), "--out", str(folder / name), *more]) == 0
    return folder


def test_the_task_is_told_and_so_is_what_to_do_next(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = conll(tmp_path / "words.conll", 8, 1)
    status, out, err = say(capsys, "train", data, "--out", tmp_path / "model", *QUICK)
    assert status == 0
    assert "task: tag (tokens in columns); --task overrides" in err
    assert "floor" in out
    following = [line.split("#")[0].split() for line in out.splitlines() if line.startswith("  karussell predict")]
    # the line that is printed works as it stands
    assert say(capsys, *following[0][1:])[0] == 0
    assert f"karussell evaluate {tmp_path / 'model'} DATA   # that it has not seen" in out
    again = refused(capsys, "train", data, "--out", tmp_path / "model", *QUICK)
    assert "--overwrite" in again


@pytest.mark.parametrize("name", ["waves", "table", "questions"])
def test_a_classifier_answers_files(models: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = {"waves": (ts, "new.ts"), "table": (ucr, "new.tsv"), "questions": (texts, "new.csv")}
    make, file = made[name]
    data = make(models / f"{name}-{file}", 6, 2)
    status, out, _ = say(capsys, "predict", models / name, data)
    rows = [line.split("\t") for line in out.splitlines()]
    assert (status, len(rows)) == (0, 6)
    assert all(len(row) == 3 and 0 < float(row[2]) <= 1 for row in rows)
    found = [json.loads(line) for line in say(capsys, "predict", models / name, data, "--json")[1].splitlines()]
    assert [row["label"] for row in found] == [row[1] for row in rows]
    assert all(sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-3) for row in found)
    scored = json.loads(say(capsys, "evaluate", models / name, data, "--json")[1])
    assert scored["scores"][0]["floor_name"] in ("1-nearest neighbour", "most frequent label")


def test_texts_need_no_label_to_be_answered_and_one_to_be_measured(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = texts(tmp_path / "bare.csv", 3, 2, labelled=False)
    assert len(say(capsys, "predict", models / "questions", bare)[1].splitlines()) == 3
    assert "'bare.csv:2' has no label" in refused(capsys, "evaluate", models / "questions", bare)


def test_a_tagger_answers_files_with_labels_and_without(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled, bare = conll(tmp_path / "a.conll", 4, 2), conll(tmp_path / "b.conll", 4, 2, labelled=False)
    status, out, err = say(capsys, "predict", models / "words", bare)
    assert (status, err) == (0, "")
    again = say(capsys, "predict", models / "words", labelled)
    assert again[1] == out
    assert "the last is taken for labels and passed over" in again[2]
    # what comes out is columns with the label last: it can be measured, and trained on
    (tmp_path / "said.conll").write_text(out)
    scored = json.loads(say(capsys, "evaluate", models / "words", tmp_path / "said.conll", "--json")[1])
    assert scored["scores"][-1]["value"] == 1.0
    assert "none is left for labels" in refused(capsys, "evaluate", models / "words", bare)


def test_labels_that_training_never_saw_are_counted(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = tmp_path / "strange.csv"
    strange.write_text("text,label\nWho ?,animal\nWhere ?,place\n")
    found = json.loads(say(capsys, "evaluate", models / "questions", strange, "--json")[1])
    assert found["unknown_labels"] == 1
    assert (
        "1 of 2 sequences have a label that training never saw"
        in say(capsys, "evaluate", models / "questions", strange)[2]
    )


BAD = {
    "an empty text": ("a.csv", "text,label\n,place\nWho,person\n", "line 2: the text is empty"),
    "one label": ("b.csv", "text,label\nWho,person\nShe,person\n", "1 different labels; there must be at least 2"),
    "no label": ("c.csv", "text,label\nWho,person\nWhere,\n", "has no label; give it one"),
    "a cell too many": ("d.csv", "text,label\nWho,person,x\n", "line 2 has more or fewer cells"),
    "infinity": ("e.ts", "@data\n1,inf,2:a\n1,2,3:b\n", "is infinite at step 1; correct it, or make it NaN"),
    "words among numbers": ("f.ts", "@data\n1,two,3:a\n1,2,3:b\n", "'two' is no number; missing values are NaN or ?"),
    "all missing": ("g.ts", "@data\n?,?,?:a\n1,2,3:b\n", "has no value that is not missing; leave it out"),
    "more channels": ("h.ts", "@data\n1,2:1,2:a\n1,2:b\n", "all of a set must have the same"),
    "no series": ("i.ts", "@data\n", "holds no series; needed one a line"),
    "a column missing": ("j.conll", "a X\nb\n\nc X\n", "line 2 has 1 columns, and the lines before have 2"),
    "one sequence": ("k.conll", "a X\nb Y\n\n", "one sequence is not enough"),
    "no columns": ("l.conll", "\n\n \n", "it is empty; give a file with data"),
    "bytes": ("m.csv", b"text,label\n\xff\xfe,a\nb,c\n", "is not UTF-8 text"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_one_sentence_and_leaves_no_folder(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, content, message = BAD[name]
    path = tmp_path / file
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    task = ("--task", "tag") if name in ("a column missing", "one sequence") else ()
    assert message in refused(capsys, "train", path, "--out", tmp_path / "model", *task, *QUICK)
    assert not (tmp_path / "model").exists()


def test_constant_and_one_point_series_are_trained_on_and_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = np.random.default_rng(0)
    rows = ["5,5,5,5:flat", "7:point", *(",".join(f"{v:.3f}" for v in chance.normal(size=8)) + ":noise",) * 4]
    (tmp_path / "odd.ts").write_text("@data\n" + "\n".join(rows * 3) + "\n")
    small = ["--network.channels", "[4]", "--network.widths", "[3]", "--members", "2", *QUICK]
    assert say(capsys, "train", tmp_path / "odd.ts", "--out", tmp_path / "model", *small)[0] == 0
    out = say(capsys, "predict", tmp_path / "model", tmp_path / "odd.ts")[1]
    assert len(out.splitlines()) == 18
    assert "nan" not in out


def test_data_of_another_kind_is_refused_at_predict_time(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for model, data, message in (
        ("waves", "questions.csv", "has 0 channels, and the model was trained with 1"),
        ("questions", "waves.ts", "has 1 channels, and the model was trained with 0"),
        ("words", "none.conll", "there is no file"),
    ):
        assert message in refused(capsys, "predict", models / model, models / data)
    assert "leave it out" in refused(capsys, "evaluate", models / "waves", models / "waves.ts", "--history", "x.ts")
