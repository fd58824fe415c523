"""Export to ONNX, with what was written compared in ONNX Runtime before it is kept."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import Module

from karussell.errors import KarussellError, require
from karussell.files import write_atomic
from karussell.nn import Recurrent
from karussell.runtime.plan import Plan
from karussell.runtime.stream import Engine
from karussell.serve import onnx_transcriber
from karussell.serve.graph import Graph
from karussell.serve.layers import layers_of, ours
from karussell.serve.onnx_layers import run_layers

LAYERS_CLOSE = 1e-5
"""Largest difference of an exported layer from the layer."""
POSTERIORS_CLOSE = 1e-4
"""Largest difference of an exported transcriber's probabilities from the model's."""


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how far what it computes lies from the model."""

    path: Path
    difference: float


def export_layers(module: Module, path: Path | str) -> Exported:
    """Write a recurrent module of `karussell.nn` or `torch.nn` as ONNX.

    Inputs x [T, B, I], lengths [B] int64, the states by name [layers * directions, B, width], and the cell's per-step
    inputs as input_NAME [T, B, 1]. Outputs y [T, B, directions * width] and the states with _n behind the name.
    KarussellError, and no file, if ONNX Runtime does not compute what the module does.
    """
    content = layers_model(module)
    difference = _compare_layers(module, content)
    return kept(Path(path), content, difference, LAYERS_CLOSE)


def layers_model(module: Module) -> bytes:
    """The ONNX file of a recurrent module."""
    layers = layers_of(module)
    graph, names = Graph(layers.cell.name), layers.cell.state
    x = graph.input("x", ["T", "B", layers.inputs])
    lengths = graph.input("lengths", ["B"], np.int64)
    shapes: dict[str, list[int | str]] = {n: [len(layers.parts), "B", layers.state_width(n)] for n in names}
    state = {n: graph.input(n, shapes[n]) for n in names}
    inputs = {n: graph.input(f"input_{n}", ["T", "B", 1]) for n in layers.cell.inputs}
    y, final = run_layers(graph, layers, x, state, lengths, inputs)
    graph.output("y", y, ["T", "B", layers.directions * layers.width])
    for n in names:
        graph.output(f"{n}_n", final[n], shapes[n])
    return graph.model({"cell": layers.cell.name})


def export_transcriber(plan: Plan, path: Path | str, *, stream: bool = False) -> Exported:
    """Write a transcriber as ONNX: for whole recordings, or for pieces of them as they come (one direction only).

    What a user needs besides stands in the file's metadata: symbols, blank, filter bank and normalisation.
    """
    graph = onnx_transcriber.streaming(plan) if stream else onnx_transcriber.whole(plan)
    content = graph.model(_about(plan))
    difference = _compare_stream(plan, content) if stream else _compare_whole(plan, content)
    return kept(Path(path), content, difference, POSTERIORS_CLOSE)


def session(content: bytes) -> Any:
    """An ONNX Runtime session on one core."""
    runtime = require("onnxruntime", extra="export")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def kept(path: Path, content: bytes, difference: float, close: float) -> Exported:
    """Write a file that was compared; KarussellError, and no file, where it differs by more than `close`."""
    if not difference <= close:
        raise KarussellError(
            f"export: ONNX Runtime differs from the model by {difference:.2g}, and at most {close:g} is allowed; "
            f"'{path}' was not written. This is a fault of the export: please report it"
        )
    write_atomic(path, content)
    return Exported(path, difference)


def _about(plan: Plan) -> Mapping[str, str]:
    bank, norm = plan.bank, plan.norm
    filters = {"rate": bank.rate, "window": bank.window, "hop": bank.hop, "bands": bank.bands}
    normalisation = {
        "mean": norm.mean.tolist(),
        "std": norm.std.tolist(),
        "prior_frames": norm.prior_frames,
        "floor_db": norm.floor_db,
        "loud_db": norm.loud_db,
        "level": norm.level,
    }
    return {
        "symbols": json.dumps(plan.symbols),
        "blank": str(plan.blank),
        "unit": plan.unit,
        "filter_bank": json.dumps(filters),
        "normalisation": json.dumps(normalisation),
    }


def _compare_layers(module: Module, content: bytes) -> float:
    layers, ready = layers_of(module), session(content)
    chance = np.random.default_rng(0)
    worst = 0.0
    for steps, lengths in ((1, [1, 1]), (2, [1, 2]), (23, [23, 9])):
        x = chance.standard_normal((steps, 2, layers.inputs), np.float32)
        feed = {"x": x, "lengths": np.asarray(lengths)}
        for n in layers.cell.state:
            shape = (len(layers.parts), 2, layers.state_width(n))
            feed[n] = 0.5 * chance.standard_normal(shape, np.float32) if n != "t" else np.ones(shape, np.float32)
        inputs = {n: chance.random((steps, 2, 1), np.float32) for n in layers.cell.inputs}
        feed |= {f"input_{n}": v for n, v in inputs.items()}
        found = ready.run(None, feed)
        expected = _in_torch(module, layers.cell.state, feed, inputs)
        worst = max(worst, *(float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True)))
    return worst


@torch.no_grad()
def _in_torch(
    module: Module, names: tuple[str, ...], feed: Mapping[str, np.ndarray], inputs: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    """What the module itself makes of the same input, row by row where it knows no lengths."""
    layer = ours(module)
    state = [torch.from_numpy(feed[n]) for n in names]
    x, lengths = torch.from_numpy(feed["x"]), torch.from_numpy(feed["lengths"])
    was = layer.training
    layer.eval()
    turned = bool(getattr(layer, "batch_first", False))
    x = x.transpose(0, 1) if turned else x
    if isinstance(layer, Recurrent):
        more = {n: torch.from_numpy(v) for n, v in inputs.items()}
        more = {n: v.transpose(0, 1) for n, v in more.items()} if turned else more
        y, final = layer(x, state, lengths=lengths, inputs=more or None)
    else:
        y, final = layer(x, state[0] if len(state) == 1 else tuple(state), lengths=lengths)
        final = (final,) if len(state) == 1 else final
    layer.train(was)
    return [(y.transpose(0, 1) if turned else y).numpy(), *(s.numpy() for s in final)]


def _features(plan: Plan, frames: int, rows: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((frames, rows, plan.bank.bands), np.float32)


def _rows(plan: Plan, x: np.ndarray) -> np.ndarray:
    """The model's own probabilities for features [T, F], computed by the runtime."""
    return np.exp(Engine(plan).from_features(x))


def _compare_whole(plan: Plan, content: bytes) -> float:
    x, lengths = _features(plan, 83, 2), np.asarray([83, 38])
    state = {n: np.zeros((len(plan.lstm), 2, plan.hidden), np.float32) for n in ("h", "c")}
    run = session(content).run
    log_probs, _, _, steps = run(None, {"features": x, "lengths": lengths, **state})
    worst = 0.0
    for b, frames in enumerate(lengths.tolist()):
        expected = _rows(plan, x[:frames, b])
        found = np.exp(log_probs[: steps[b], b])
        worst = max(worst, float(np.abs(found - expected).max()) if found.shape == expected.shape else np.inf)
    return worst


def _compare_stream(plan: Plan, content: bytes) -> float:
    x = _features(plan, 40 * plan.subsampling + 5, 1)
    run = session(content).run
    state, found, at = onnx_transcriber.begin(plan, 1), [], 0
    piece = onnx_transcriber.LEAST * plan.subsampling
    while at < len(x):
        size = piece if len(x) - at >= 2 * piece else len(x) - at
        last = np.asarray([int(at + size == len(x))])
        log_probs, *new = run(None, {"features": x[at : at + size], "last": last, **state})
        names = ["h", "c", *(n for n in state if n not in ("h", "c"))]
        state = dict(zip(names, new, strict=True))
        found.append(log_probs[:, 0])
        at, piece = at + size, piece + 3
    rows, expected = np.exp(np.concatenate(found)), _rows(plan, x[:, 0])
    return float(np.abs(rows - expected).max()) if rows.shape == expected.shape else np.inf
