"""Every cell as ONNX, one way and both, one layer and two, with time unknown until it runs, in ONNX Runtime."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from karussell import cells, nn
from karussell.errors import InputError, KarussellError
from karussell.program.emit_onnx import standard_node
from karussell.serve import onnx as serve_onnx
from karussell.serve.onnx import LAYERS_CLOSE, export_layers, layers_model, session
from user_cells import EVERY, fitting, named

pytest.importorskip("onnxruntime", reason="the export extra is not installed")
onnx = pytest.importorskip("onnx", reason="the export extra is not installed")

STANDARD = {
    cells.LSTM: "LSTM", cells.PeepholeLSTM: "LSTM", cells.CIFG: "LSTM", cells.GRU: "GRU", cells.GRUResetBefore: "GRU",
    cells.RNN: "RNN", cells.ReLURNN: "RNN",
}  # fmt: skip


def layer(cell: cells.Cell, layers: int = 1, **more) -> nn.Recurrent:
    made = nn.Recurrent(cell, 3, fitting(cell, 8), layers, engine="reference", **more).eval()
    with torch.no_grad():
        # biases and unit vectors start from plain numbers, which would hide one taken for another
        for weight in made.parameters():
            if weight.dim() == 1:
                weight.mul_(0.5).add_(torch.randn(weight.shape) * 0.2)
    return made


def kinds(content: bytes) -> set[str]:
    return {node.op_type for node in onnx.load_from_string(content).graph.node}


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_every_cell(cell: cells.Cell, both: bool, layers: int, tmp_path: Path) -> None:
    module = layer(cell, layers, bidirectional=both)
    made = export_layers(module, tmp_path / "layers.onnx")
    assert made.difference <= LAYERS_CLOSE == 1e-5
    kind = STANDARD.get(cell, "LSTM" if cell.name == "lstm" else "Scan")
    assert kind in kinds(made.path.read_bytes())


def test_a_file_of_one_length_runs_every_other(tmp_path: Path) -> None:
    module = layer(cells.FGR, bidirectional=True)
    ready = session(layers_model(module))
    for steps in (1, 2, 3, 50):
        x, state = torch.randn(steps, 2, 3), [s.numpy() for s in module.initial_state(2)]
        feed = {"x": x.numpy(), "lengths": np.asarray([steps, 1])} | dict(zip(cells.FGR.state, state, strict=True))
        with torch.no_grad():
            expected = module(x, lengths=[steps, 1])[0].numpy()
        found = ready.run(None, feed)[0]
        assert np.abs(found - expected).max() <= LAYERS_CLOSE
        assert not found[1:, 1].any()


@pytest.mark.parametrize(
    "module",
    [
        torch.nn.LSTM(3, 8, 2, bidirectional=True),
        torch.nn.LSTM(3, 8, proj_size=5),
        torch.nn.GRU(3, 8, bias=False),
        torch.nn.RNN(3, 8, nonlinearity="relu", bidirectional=True),
        nn.LSTM(3, 8, batch_first=True),
        nn.GRU(3, 8, 2),
    ],
    ids=lambda m: f"{type(m).__module__.split('.')[0]}.{m}",
)
def test_layers_of_torch_and_drop_ins(module: torch.nn.Module, tmp_path: Path) -> None:
    assert export_layers(module, tmp_path / "layers.onnx").difference <= LAYERS_CLOSE


@pytest.mark.parametrize(
    "options",
    [
        {"layer_norm": True},
        {"zoneout": 0.2},
        {"proj_size": 5},
        {"residual": True, "bidirectional": False},
        {"learned_state": True, "batch_first": True, "bias": ["f"]},
    ],
    ids=str,
)
def test_options(options: dict, tmp_path: Path) -> None:
    if options.get("residual"):
        module = nn.Recurrent(cells.GRU, 8, 8, 2, residual=True)
    else:
        module = nn.Recurrent(cells.PeepholeLSTM, 3, 8, 2, bidirectional=True, **options)
    assert export_layers(module, tmp_path / "layers.onnx").difference <= LAYERS_CLOSE


def test_the_standard_node_is_found_by_what_a_cell_computes() -> None:
    def mine(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, d: torch.Tensor, s: torch.Tensor):
        s = torch.sigmoid(b) * s + torch.sigmoid(a) * torch.tanh(c)
        return torch.sigmoid(d) * torch.tanh(s), s

    found = standard_node(cells.Cell("mine", ("y", "s"), ("a", "b", "c", "d"), mine))
    assert found is not None
    assert (found.kind, found.gates) == ("LSTM", ("a", "d", "b", "c"))
    assert standard_node(cells.NIAF) is None


def test_what_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = layer(cells.LSTM)
    other = layers_model(layer(cells.LSTM))
    monkeypatch.setattr(serve_onnx, "layers_model", lambda _: other)
    with pytest.raises(KarussellError, match="ONNX Runtime differs"):
        export_layers(module, tmp_path / "layers.onnx")
    assert not list(tmp_path.iterdir())


def test_a_module_that_is_no_layer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Linear is no recurrent layer"):
        export_layers(torch.nn.Linear(2, 2), tmp_path / "layers.onnx")
