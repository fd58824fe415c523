"""A model file with one LSTM node and nothing else, for ONNX Runtime: what its fused kernel needs for a step.

The few fields of the ONNX protocol buffer that such a file has are written here, so that the bench needs no onnx
package. Numbers in front are field numbers of onnx.proto3.
"""

import torch
from torch import Tensor

_FLOAT, _INT_ATTRIBUTE = 1, 2
_IR, _OPSET = 8, 14


def lstm_node(w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, steps: int, batch: int) -> bytes:
    """The model: inputs x [T, B, I], h and c [1, B, H]; outputs h_n and c_n. Weights as `torch.nn.LSTM` has them."""
    hidden, inputs = w_hh.shape[1], w_ih.shape[1]
    attribute = _text(1, "hidden_size") + _number(3, hidden) + _number(20, _INT_ATTRIBUTE)
    names = ("x", "w", "r", "b", "", "h", "c")
    node = b"".join(_text(1, n) for n in names) + b"".join(_text(2, n) for n in ("", "h_n", "c_n"))
    node += _text(4, "LSTM") + _message(5, attribute)
    weights = {
        "w": _gates(w_ih)[None],
        "r": _gates(w_hh)[None],
        "b": torch.cat([_gates(b_ih), _gates(b_hh)])[None],
    }
    state = (1, batch, hidden)
    graph = _message(1, node) + _text(2, "step")
    graph += b"".join(_message(5, _tensor(name, value)) for name, value in weights.items())
    graph += _message(11, _shape("x", (steps, batch, inputs)))
    graph += b"".join(_message(11, _shape(name, state)) for name in ("h", "c"))
    graph += b"".join(_message(12, _shape(name, state)) for name in ("h_n", "c_n"))
    return _number(1, _IR) + _message(8, _text(1, "") + _number(2, _OPSET)) + _message(7, graph)


def _gates(weight: Tensor) -> Tensor:
    """From torch's order i f g o to ONNX's i o f c."""
    i, f, g, o = weight.detach().chunk(4)
    return torch.cat([i, o, f, g])


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _tensor(name: str, value: Tensor) -> bytes:
    raw = value.contiguous().numpy().astype("<f4").tobytes()
    return b"".join(_number(1, n) for n in value.shape) + _number(2, _FLOAT) + _text(8, name) + _message(9, raw)


def _shape(name: str, sizes: tuple[int, ...]) -> bytes:
    dimensions = b"".join(_message(1, _number(1, n)) for n in sizes)
    return _text(1, name) + _message(2, _message(1, _number(1, _FLOAT) + _message(2, dimensions)))
