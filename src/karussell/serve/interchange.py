"""Weights from and to others: torch.nn and ONNX, by gate order i f g o, r z n; and folders in the hub's conventions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

from karussell.errors import InputError, require
from karussell.nn import GRU, LSTM, RNN
from karussell.serve.layers import ours

# rows of our gates among ONNX's: i o f c, z r h
_ORDER = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
# a file larger than protocol buffers can be is no file of ours
MOST = 2 * 1024**3


def from_torch(module: Module) -> Module:
    """A `torch.nn.LSTM`, `GRU` or `RNN` as the drop-in of `karussell.nn`, with its weights; any other as it is."""
    return ours(module)


def to_torch(module: Module) -> Module:
    """A drop-in of `karussell.nn` as torch's own layer, with its weights."""
    kinds: dict[type[Module], type[Module]] = {LSTM: torch.nn.LSTM, GRU: torch.nn.GRU, RNN: torch.nn.RNN}
    kind = kinds.get(type(module))
    if kind is None:
        raise InputError(f"to_torch: {type(module).__name__} has no twin in torch; LSTM, GRU and RNN have")
    sizes = [getattr(module, n) for n in ("input_size", "hidden_size", "num_layers")]
    more: dict[str, Any] = {n: getattr(module, n) for n in ("bias", "batch_first", "bidirectional", "dropout")}
    more |= {"nonlinearity": module.nonlinearity} if isinstance(module, RNN) else {}
    more |= {"proj_size": module.proj_size} if isinstance(module, LSTM) else {}
    found = kind(*sizes, **more)
    found.load_state_dict(module.state_dict())
    return found


def from_onnx(path: Path | str) -> list[Module]:
    """The recurrent layers of an ONNX file, node after node, each as a drop-in of `karussell.nn` with its weights.

    LSTM, GRU (linear_before_reset = 1) and RNN nodes with constant weights, without peepholes, clipping or coupled
    gates, and with ONNX's standard activations. InputError names what a node has that these layers do not.
    """
    onnx, path = require("onnx", extra="export"), Path(path)
    try:
        if path.stat().st_size > MOST:
            raise InputError(f"'{path}' has {path.stat().st_size} bytes, and at most {MOST} are read")
        # no file beside it is opened, whatever names the model gives
        model = onnx.load(path, load_external_data=False)
    except FileNotFoundError:
        raise InputError(f"there is no file '{path}'; check the path") from None
    except (OSError, ValueError, RuntimeError, require("google.protobuf.message", extra="export").DecodeError) as error:
        raise InputError(f"'{path}' is no ONNX file that can be read ({error})") from error
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            values = [a.t for a in node.attribute if a.name == "value"]
            constants |= dict.fromkeys(node.output, values[0]) if values else {}
    layers = [_layer(onnx, path, node, constants) for node in model.graph.node if node.op_type in _ORDER]
    if not layers:
        raise InputError(f"'{path}' holds no LSTM, GRU or RNN node")
    return layers


def _layer(onnx: Any, path: Path, node: Any, constants: Mapping[str, Any]) -> Module:
    where = f"'{path}': node '{node.name or node.output[0]}'"
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    arrays = [_constant(onnx, where, constants, name) for name in node.input[1:4]]
    w, r, b = [*arrays, None, None, None][:3]
    if w is None or r is None or w.ndim != 3 or r.ndim != 3:
        raise InputError(f"{where}: its weights are no constants of the file, so there is nothing to take")
    direction = given.get("direction", b"forward").decode()
    gates, hidden = len(_ORDER[node.op_type]), r.shape[2]
    if direction == "reverse" or len(w) != (2 if direction == "bidirectional" else 1) or w.shape[1] != gates * hidden:
        raise InputError(f"{where}: direction {direction} with weights {list(w.shape)} is not read here")
    activations = tuple(a.decode() for a in given.get("activations", ()))
    more = _checked(where, node, given, activations[: len(activations) // len(w)])
    kind = {"LSTM": LSTM, "GRU": GRU, "RNN": RNN}[node.op_type]
    layer = kind(w.shape[2], hidden, bias=b is not None, bidirectional=len(w) == 2, **more)
    state: dict[str, Tensor] = {}
    for d, end in enumerate(("", "_reverse")[: len(w)]):
        state |= {f"weight_ih_l0{end}": _rows(node, w[d]), f"weight_hh_l0{end}": _rows(node, r[d])}
        if b is not None:
            halves = np.split(b[d], 2)
            state |= {f"bias_{n}_l0{end}": _rows(node, half) for n, half in zip(("ih", "hh"), halves, strict=True)}
    try:
        layer.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{where}: its weights do not fit one another") from error
    return layer


def _checked(where: str, node: Any, given: Mapping[str, Any], activations: Sequence[str]) -> dict[str, Any]:
    """What the constructor needs besides sizes; InputError for what our layer would compute otherwise."""
    standard = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}[node.op_type]
    rectified = node.op_type == "RNN" and activations == ("Relu",)
    if activations and activations != standard and not rectified:
        raise InputError(f"{where}: its activations are {', '.join(activations)}; only {', '.join(standard)} are read")
    if node.op_type == "GRU" and given.get("linear_before_reset", 0) != 1:
        raise InputError(
            f"{where}: it resets before the product; that is cells.GRUResetBefore and no drop-in of torch's"
        )
    if given.get("clip") or given.get("input_forget") or (len(node.input) > 7 and node.input[7]):
        raise InputError(f"{where}: clipping, coupled gates and peepholes are not read here")
    return {"nonlinearity": "relu"} if rectified else {}


def _constant(onnx: Any, where: str, constants: Mapping[str, Any], name: str) -> np.ndarray | None:
    if name not in constants:
        return None
    if constants[name].data_location == onnx.TensorProto.EXTERNAL:
        raise InputError(f"{where}: its weights lie in another file, which is not opened; save the model in one")
    return onnx.numpy_helper.to_array(constants[name]).astype(np.float32)


def _rows(node: Any, matrix: np.ndarray) -> Tensor:
    """Rows gate after gate in torch's order."""
    order = _ORDER[node.op_type]
    blocks = np.split(matrix, len(order))
    return torch.from_numpy(np.concatenate([blocks[k] for k in order]))
