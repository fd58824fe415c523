"""The bench of CUDA devices: refused where there is none; the bench itself, interpreted, on tiny shapes."""

import pytest
import torch

from karussell.bench import show
from karussell.bench.ctc_loss import LossProblem
from karussell.bench.cuda_ctc import run_cuda_ctc
from karussell.bench.cuda_layers import CHART, SHAPES, Shape, run_cuda_layers
from karussell.bench.parity import ParityError
from karussell.bench.result import Result
from karussell.errors import InputError
from karussell.native import triton

CPU = torch.device("cpu")
needed = pytest.mark.skipif(triton.why_not(CPU) is not None, reason=f"not interpreted: {triton.why_not(CPU)}")


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr("karussell.bench.cuda.SHAPE", 0.0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("bench", [run_cuda_layers, run_cuda_ctc])
def test_without_a_device_it_says_so(bench):
    with pytest.raises(InputError, match="there is no CUDA device here"):
        bench()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_the_command_says_so(capsys):
    from karussell.cli import main

    assert main(["bench", "layers", "--device", "cuda"]) == 2
    assert "there is no CUDA device here" in capsys.readouterr().err


def test_there_are_twelve_shapes_with_names_of_their_own():
    assert len({s.name for s in SHAPES}) == 12
    assert all(s.peers for s in SHAPES)


@needed
def test_layers_interpreted(tmp_path, capsys):
    chosen = (
        Shape("a", "lstm", 2, 2, 4, torch.float32, peers=("cuDNN", "TF32", "loop", "chart")),
        Shape("b", "peephole_lstm", 2, 2, 4, torch.float32, directions=2, peers=("our LSTM",)),
        Shape("c", "gru", 3, 2, 4, torch.float32, ragged=True, training=False),
    )
    path = tmp_path / "result.json"
    result = run_cuda_layers(path, chosen=chosen, interpreted=True, say=lambda _: None)
    assert Result.from_json(path.read_text()) == result
    assert len(result.rows) == 3 + len(CHART) + 1 + 1
    show(result)
    assert "FlashRNN's chart" in capsys.readouterr().out


@needed
def test_ctc_interpreted():
    chosen = (LossProblem(4, 2, 2, 5), LossProblem(4, 2, 2, 5, "logits"))
    result = run_cuda_ctc(chosen=chosen, interpreted=True, say=lambda _: None)
    assert [row.peer for row in result.rows] == ["torch ctc_loss"] * 2


@needed
def test_nothing_wrong_is_timed(monkeypatch):
    monkeypatch.setattr("karussell.bench.cuda_layers.TOLERANCE", {torch.float32: 0.0})
    with pytest.raises(ParityError, match="is off by"):
        run_cuda_layers(chosen=(Shape("a", "lstm", 2, 2, 4, torch.float32),), interpreted=True, say=lambda _: None)
