"""Weights to torch, to ONNX, and back."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from karussell import cells, nn
from karussell.errors import InputError
from karussell.serve.interchange import from_onnx, from_torch, to_torch

pytest.importorskip("onnxruntime", reason="the export extra is not installed")
onnx = pytest.importorskip("onnx", reason="the export extra is not installed")

from karussell.serve.onnx import export_layers  # noqa: E402

LAYERS = [
    nn.LSTM(3, 4),
    nn.LSTM(3, 4, bidirectional=True, bias=False),
    nn.GRU(3, 4, bidirectional=True),
    nn.RNN(3, 4),
    nn.RNN(3, 4, nonlinearity="relu", bidirectional=True),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_to_torch_and_back(layer: torch.nn.Module) -> None:
    theirs = to_torch(layer)
    assert type(theirs).__module__.startswith("torch.nn")
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(theirs(x)[0], layer(x)[0])
    back = from_torch(theirs)
    assert type(back) is type(layer)
    for name, value in layer.state_dict().items():
        assert torch.equal(back.state_dict()[name], value)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_to_onnx_and_back(layer: torch.nn.Module, tmp_path: Path) -> None:
    export_layers(layer, tmp_path / "layer.onnx")
    [back] = from_onnx(tmp_path / "layer.onnx")
    assert type(back) is type(layer)
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(back(x)[0], layer(x)[0])


def test_a_stack_is_read_layer_by_layer(tmp_path: Path) -> None:
    stack = nn.LSTM(3, 4, 2, bidirectional=True)
    export_layers(stack, tmp_path / "stack.onnx")
    first, second = from_onnx(tmp_path / "stack.onnx")
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(second(first(x)[0])[0], stack(x)[0])


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (cells.PeepholeLSTM, "peepholes are not read"),
        (cells.CIFG, "coupled gates and peepholes are not read"),
        (cells.GRUResetBefore, "resets before the product"),
        (cells.NIAF, "no LSTM, GRU or RNN node"),
    ],
)
def test_what_a_drop_in_does_not_compute_is_refused(cell: cells.Cell, words: str, tmp_path: Path) -> None:
    export_layers(nn.Recurrent(cell, 3, 4, engine="reference"), tmp_path / "layer.onnx")
    with pytest.raises(InputError, match=words):
        from_onnx(tmp_path / "layer.onnx")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        from_onnx(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_bytes(b"\x80\x04this is no model" * 9)
    with pytest.raises(InputError, match=r"no ONNX file|no LSTM"):
        from_onnx(tmp_path / "text.onnx")


def test_no_other_file_is_opened(tmp_path: Path) -> None:
    export_layers(nn.LSTM(3, 4), tmp_path / "layer.onnx")
    model = onnx.load(tmp_path / "layer.onnx")
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "../../etc/passwd"
    (tmp_path / "forged.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="another file, which is not opened"):
        from_onnx(tmp_path / "forged.onnx")


def test_a_recurrent_layer_has_no_twin() -> None:
    with pytest.raises(InputError, match="has no twin in torch"):
        to_torch(nn.Recurrent(cells.LSTM, 3, 4))
