"""`karussell predict --live` of taggers, classifiers and forecasters: lines in, answers out as they become certain."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import command, environment

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))

from sequences import measured, questions, waves, words
from untrained import classifier, forecaster, hours, tagger

pandas = pytest.importorskip("pandas", reason="forecasts are tables of pandas")


def live(folder: Path, text: str, *more: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command("predict", folder, "--live", *more),
        input=text, capture_output=True, text=True, env=environment(), timeout=120,
    )  # fmt: skip


def test_tags_of_several_sequences(tmp_path: Path) -> None:
    model, examples = tagger(), words(2, 4)
    model.save(tmp_path)
    text = "\n".join("".join(f"{a} {b}\n" for a, b in zip(*e.columns, strict=True)) for e in examples)
    done = live(tmp_path, text, "--chunk", 100)
    assert done.returncode == 0, done.stderr
    assert "answers wait for 116 steps" in done.stderr
    blocks = [block.splitlines() for block in done.stdout.split("\n\n")]
    for example, whole, rows in zip(examples, model.predict(examples), blocks, strict=True):
        assert [row.split("\t")[0] for row in rows if row] == list(example.columns[0])
        assert tuple(row.split("\t")[1] for row in rows if row) == whole.labels


def test_measurements_are_tagged_and_classified_a_step_a_line(tmp_path: Path) -> None:
    model, [example] = tagger(spelled=False), measured(1, 4)
    model.save(tmp_path / "tag")
    text = "".join(f"{a}, {b}\n" for a, b in example.values.tolist())
    rows = [json.loads(line) for line in live(tmp_path / "tag", text, "--json", "--chunk", 50).stdout.splitlines()]
    assert tuple(row["label"] for row in rows) == model.predict([example])[0].labels
    judge, [wave] = classifier(), waves(1, 4)
    judge.save(tmp_path / "classify")
    lines = live(tmp_path / "classify", "".join(f"{v}\n" for [v] in wave.values.tolist()), "--chunk", 7).stdout
    steps, label, confidence = lines.splitlines()[-1].split("\t")
    [whole] = judge.predict([wave])
    assert (int(steps), label) == (wave.steps, whole.label)
    assert float(confidence) == pytest.approx(whole.confidence, abs=1e-4)


def test_a_text_a_line_is_classified(tmp_path: Path) -> None:
    model, examples = classifier(spelled=True), questions(3, 4)
    model.save(tmp_path)
    rows = live(tmp_path, "".join(" ".join(e.columns[0]) + "\n" for e in examples)).stdout.splitlines()
    assert [row.split("\t")[1] for row in rows] == [found.label for found in model.predict(examples)]


def test_a_forecast_after_every_row(tmp_path: Path) -> None:
    model, data = forecaster(), hours(80)
    from dataclasses import replace

    # as a trained model has it, which was told its columns
    table = replace(
        model.config.table, time="ds", id="id", target="y", known=("plan",), past=("seen",), static=("colour",)
    )
    model.config = replace(model.config, table=table)
    model.save(tmp_path)
    [one] = data.series
    frame = pandas.DataFrame(
        {"id": "one", "ds": data.times(one, 0, 80), "y": one.values, "plan": one.known[:80, 0], "seen": one.past[:, 0]}
    ).assign(colour="red")
    done = live(tmp_path, frame.to_csv(index=False), "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 80 * 10
    trimmed = replace(data, series=(replace(one, known=one.known[:80]),))
    expected = model.predict(trimmed)
    assert [row["mean"] for row in rows[-10:]] == pytest.approx(expected["mean"].tolist(), rel=1e-4)


def test_export_of_every_task(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the export extra is not installed")
    for name, made in (("tag", tagger()), ("classify", classifier()), ("forecast", forecaster())):
        made.save(tmp_path / name)

        def export(*more: object, name: str = name) -> "subprocess.CompletedProcess[str]":
            words = command("export", tmp_path / name, *more)
            return subprocess.run(words, capture_output=True, text=True, env=environment(), timeout=120)

        done = export("--to", "onnx")
        assert done.returncode == 0, done.stderr
        assert "in ONNX Runtime" in done.stdout
        assert (tmp_path / name / "model.onnx").stat().st_size > 1000
        done = export("--to", "c", "--name", "mine")
        assert done.returncode == (0 if name == "forecast" else 2)
        assert ("bytes of C99" if name == "forecast" else "use --to onnx") in done.stdout + done.stderr
        assert "--stream is of speech" in export("--to", "onnx", "--stream").stderr
    assert "int mine_forecast(" in (tmp_path / "forecast" / "model.c").read_text()


def test_a_bad_line_is_one_sentence(tmp_path: Path) -> None:
    tagger(spelled=False).save(tmp_path / "tag")
    forecaster().save(tmp_path / "forecast")
    for name, text, sentence in (
        ("tag", "1, 2\n3\n", "has 1 numbers"),
        ("tag", "1, x\n", "is no row of numbers"),
        ("forecast", "a,b\n1,2\n", "column"),
    ):
        done = live(tmp_path / name, text)
        assert done.returncode == 2
        assert sentence in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
    done = live(tmp_path / "tag", "1, 2\n", "--chunk", 1.5)
    assert "counts steps" in done.stderr
