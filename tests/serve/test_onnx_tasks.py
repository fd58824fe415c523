"""Classifiers, taggers and forecasters as ONNX: what ONNX Runtime says is what the model says."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))

pytest.importorskip("onnxruntime", reason="the export extra is not installed")
pytest.importorskip("onnx", reason="the export extra is not installed")

from sequences import measured, questions, waves, words
from untrained import classifier, forecaster, hours, tagger

from karussell.errors import InputError, KarussellError
from karussell.serve import onnx_tasks
from karussell.serve.onnx import session
from karussell.serve.onnx_tasks import CLOSE, export_task, feed, windows


@pytest.mark.parametrize("name", ["waves", "questions"])
def test_probabilities_of_a_classifier(name: str, tmp_path: Path) -> None:
    model = classifier(spelled=name == "questions")
    made = export_task(model, tmp_path / "model.onnx")
    assert made.difference <= CLOSE
    examples = questions(7, 3) if name == "questions" else waves(7, 3)
    [batch] = model.loader(examples).in_order()
    [found] = session(made.path.read_bytes()).run(None, feed(model, batch))
    expected = model.probabilities(examples).numpy()[batch.items.numpy()]
    assert np.abs(found - expected).max() < CLOSE


@pytest.mark.parametrize("spelled", [True, False])
def test_tags_of_a_tagger(spelled: bool, tmp_path: Path) -> None:
    model = tagger(spelled=spelled)
    made = export_task(model, tmp_path / "model.onnx")
    examples = (words if spelled else measured)(6, 3)
    [batch] = model.loader(examples).in_order()
    tags, _ = session(made.path.read_bytes()).run(None, feed(model, batch))
    for b, item in enumerate(batch.items.tolist()):
        labels = tuple(model.labels[k] for k in tags[: examples[item].steps, b])
        assert labels == model.predict([examples[item]])[0].labels


@pytest.mark.parametrize(("distribution", "layers"), [("quantiles", 1), ("quantiles", 2), ("student_t", 1)])
def test_forecasts(distribution: str, layers: int, tmp_path: Path) -> None:
    model = forecaster(distribution, layers)
    made = export_task(model, tmp_path / "model.onnx")
    assert made.difference <= CLOSE
    if distribution != "quantiles":
        return
    data = hours(120)
    batch = model.windows(data).batch(np.zeros(4, np.int64), np.array([20, 60, 100, 120]))
    quantiles, mean = session(made.path.read_bytes()).run(None, windows(model, batch))
    expected = model.forecast_batch(batch)
    np.testing.assert_allclose(quantiles, expected.quantiles, rtol=1e-4)
    np.testing.assert_allclose(mean, expected.mean, rtol=1e-4)


def test_stretched_levels_stay_in_order(tmp_path: Path) -> None:
    from dataclasses import replace

    model = forecaster()
    model.facts = replace(model.facts, stretch=(9.0, 0.1, 0.5, 1.0, 2.0, 0.2, 3.0))
    assert export_task(model, tmp_path / "model.onnx").difference <= CLOSE


def test_what_differs_or_cannot_be_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="draws its quantiles"):
        export_task(forecaster("negative_binomial"), tmp_path / "model.onnx")
    model, other = classifier(), classifier()
    other.temperature = 3.0
    content = onnx_tasks.classifier(other)
    monkeypatch.setattr(onnx_tasks, "classifier", lambda _: content)
    with pytest.raises(KarussellError, match="was not written"):
        export_task(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
