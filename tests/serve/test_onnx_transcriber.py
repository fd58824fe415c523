"""Transcribers as ONNX: batches of any lengths, and streams in pieces."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from karussell.data.batches import pad
from karussell.serve.onnx import POSTERIORS_CLOSE, export_transcriber, session
from random_models import random_transcriber, recording

pytest.importorskip("onnxruntime", reason="the export extra is not installed")
onnx = pytest.importorskip("onnx", reason="the export extra is not installed")

MODELS = {
    "both ways": {"layers": 2},
    "causal": {"causal": True, "layers": 2},
    "even context": {"causal": True, "context": 4},
    "no convolutions": {"causal": True, "channels": 0},
    "nothing before the layers": {"causal": True, "channels": 0, "context": 0},
}


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_is_what_torch_makes_of_it(name: str, tmp_path: Path) -> None:
    model = random_transcriber(**MODELS[name])
    made = export_transcriber(model.runtime().plan, tmp_path / "model.onnx")
    assert made.difference <= POSTERIORS_CLOSE == 1e-4
    x, lengths = pad([model.features(recording(seconds)) for seconds in (0.7, 1.31, 0.2)])
    with torch.no_grad():
        expected, steps = model.network(x, lengths)
    plan = model.runtime().plan
    state = {n: np.zeros((len(plan.lstm), 3, plan.hidden), np.float32) for n in ("h", "c")}
    feed = {"features": x.numpy(), "lengths": lengths.numpy(), **state}
    found, _, _, ends = session(made.path.read_bytes()).run(None, feed)
    assert ends.tolist() == steps.tolist()
    for b, end in enumerate(ends):
        assert np.abs(np.exp(found[:end, b]) - expected[:end, b].exp().numpy()).max() <= POSTERIORS_CLOSE


@pytest.mark.parametrize("name", [n for n, given in MODELS.items() if given.get("causal")])
def test_a_stream_is_the_whole(name: str, tmp_path: Path) -> None:
    plan = random_transcriber(**MODELS[name]).runtime().plan
    assert plan.streams
    # the export itself runs it in pieces that are no multiples of anything
    assert export_transcriber(plan, tmp_path / "model.onnx", stream=True).difference <= POSTERIORS_CLOSE


def test_the_file_says_what_else_is_needed(tmp_path: Path) -> None:
    plan = random_transcriber().runtime().plan
    made = export_transcriber(plan, tmp_path / "model.onnx")
    about = {p.key: p.value for p in onnx.load(made.path).metadata_props}
    assert json.loads(about["symbols"]) == list(plan.symbols)
    assert json.loads(about["filter_bank"])["rate"] == plan.bank.rate
    assert json.loads(about["normalisation"])["floor_db"] == -40.0


def test_torch_export_of_a_causal_model_with_time_unknown() -> None:
    model = random_transcriber(causal=True, layers=2)
    x, steps = torch.randn(40, 1, 10), torch.export.Dim("steps", min=8, max=4000)
    made = torch.export.export(model.network, (x, torch.tensor([40])), dynamic_shapes=({0: steps}, None)).module()
    for frames in (40, 97):
        x, lengths = torch.randn(frames, 1, 10), torch.tensor([frames])
        with torch.no_grad():
            torch.testing.assert_close(made(x, lengths)[0], model.network(x, lengths)[0], atol=1e-5, rtol=1e-5)
