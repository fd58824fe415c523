"""A classifier or a tagger as ONNX: what the model is shown goes in, answers come out, time and batch are dynamic.

in    values [T, B, D] the measurements as they are shown (scaled; metadata says how), where the model has some
      numbers [T, B, N] int64 of tokens, where it has some; and of their first column, where letters are looked at,
      spellings [L, U] int64, spelling_lengths [U] int64 of the different words, words [T, B] int64 which is where
      lengths [B] int64
out   of a classifier: probabilities [B, K], the mean of its networks, calibrated
      of a tagger: tags [T, B] int64, the best label sequence under the random field (beyond a length of no
      meaning), and emissions [T', B, K]
"""

import json
from typing import Any

import numpy as np
from torch import Tensor

from karussell.serve.graph import Graph
from karussell.serve.layers import layers_of
from karussell.serve.onnx_layers import run_layers
from karussell.tasks.classifier import Classifier
from karussell.tasks.sequences.encoder import Encoder
from karussell.tasks.sequences.inputs import Inputs
from karussell.tasks.tagger import Tagger

_FAR = -1e30


def classifier(model: Classifier) -> bytes:
    """The file of a classifier."""
    graph = Graph("classifier")
    given, lengths = _inputs(graph, model.inputs, bool(model.config.network.letters))
    shares = []
    for member in model.network.members:
        encoder: Encoder = member.encoder  # type: ignore[assignment]
        y, inside = encoded(graph, encoder, given, lengths)
        logits = _linear(graph, _pooled(graph, y, inside), member.out)
        scaled = graph.add("Div", [logits, graph.constant(float(model.temperature))])
        shares.append(graph.add("Softmax", [scaled], {"axis": -1}))
    mean = graph.add("Mean", shares)
    graph.output("probabilities", mean, ["B", len(model.labels)])
    return graph.model(about(model))


def tagger(model: Tagger) -> bytes:
    """The file of a tagger."""
    graph = Graph("tagger")
    given, lengths = _inputs(graph, model.inputs, bool(model.config.network.letters))
    y, inside = encoded(graph, model.network.encoder, given, lengths)
    emissions = _linear(graph, y, model.network.out)
    tags = _viterbi(graph, emissions, inside, [_array(part) for part in model.network.crf.scores()])
    graph.output("tags", tags, ["T", "B"], np.int64)
    graph.output("emissions", emissions, ["T", "B", len(model.labels)])
    return graph.model(about(model))


def about(model: Classifier | Tagger) -> dict[str, str]:
    """What a user needs besides the graph."""
    return {"task": model.task, "labels": json.dumps(list(model.labels)), "inputs": json.dumps(model.inputs.to_json())}


def encoded(graph: Graph, encoder: Encoder, given: dict[str, str], lengths: str) -> tuple[str, str]:
    """Vectors [T', B, E], and whether a step lies within its length [T', B, 1]."""
    config, parts = encoder.config, []
    if "values" in given:
        parts.append(given["values"])
    for k, vectors in enumerate(encoder.vectors):
        number = graph.add("Squeeze", [graph.slice(given["numbers"], 2, k, k + 1), graph.constant([2])])
        parts.append(graph.add("Gather", [graph.constant(_array(vectors.weight)), number]))  # type: ignore[arg-type]
    if encoder.letters is not None:
        letters = graph.add("Gather", [graph.constant(_array(encoder.letters.letters.weight)), given["spellings"]])
        _, final = _lstm(graph, encoder.letters.lstm, letters, given["spelling_lengths"])
        ends = graph.split(final["h"], 0, [1, 1])
        spelled = graph.concat([graph.add("Squeeze", [end, graph.constant([0])]) for end in ends], 1)
        parts.append(graph.add("Gather", [spelled, given["words"]]))
    x, width = graph.concat(parts, 2), _width(encoder)
    inside = _inside(graph, x, lengths)
    for k, (convolution, norm) in enumerate(zip(encoder.convolutions, encoder.norms, strict=True)):
        x = graph.add("Where", [inside, x, graph.constant(0.0)])
        seen = graph.add("Transpose", [x], {"perm": [1, 2, 0]})
        made = graph.concat([_convolved(graph, part, seen) for part in convolution.parts], 1)  # type: ignore[union-attr]
        made = graph.add("Transpose", [_normed(graph, norm, made)], {"perm": [2, 0, 1]})
        x = graph.add("Add", [made, x]) if config.channels[k] == width else made
        width = config.channels[k]
        if k < (config.halvings or 0):
            x = graph.add("Where", [inside, x, graph.constant(0.0)])
            turned = graph.add("Transpose", [x], {"perm": [1, 2, 0]})
            pooled = graph.add("MaxPool", [turned], {"kernel_shape": [2], "strides": [2], "ceil_mode": 1})
            x = graph.add("Transpose", [pooled], {"perm": [2, 0, 1]})
            one, two = (graph.constant(np.asarray(n, np.int64)) for n in (1, 2))
            lengths = graph.add("Div", [graph.add("Add", [lengths, one]), two])
            inside = _inside(graph, x, lengths)
    y, _ = _lstm(graph, encoder.lstm, x, lengths)
    return (graph.concat([x, y], 2) if len(encoder.convolutions) else y), inside


def _inputs(graph: Graph, inputs: Inputs, letters: bool) -> tuple[dict[str, str], str]:
    found = {}
    if inputs.size:
        found["values"] = graph.input("values", ["T", "B", inputs.size])
    if inputs.columns:
        found["numbers"] = graph.input("numbers", ["T", "B", len(inputs.columns)], np.int64)
    if inputs.columns and letters:
        found["spellings"] = graph.input("spellings", ["L", "U"], np.int64)
        found["spelling_lengths"] = graph.input("spelling_lengths", ["U"], np.int64)
        found["words"] = graph.input("words", ["T", "B"], np.int64)
    return found, graph.input("lengths", ["B"], np.int64)


def _width(encoder: Encoder) -> int:
    """Width of what the encoder looks at."""
    if encoder.convolutions:
        return int(encoder.convolutions[0].parts[0].in_channels)  # type: ignore[union-attr, index]
    return encoder.lstm.input_size


def _lstm(graph: Graph, module: Any, x: str, lengths: str) -> tuple[str, dict[str, str]]:
    layers = layers_of(module)
    rows = graph.add("Shape", [x], {"start": 1, "end": 2})
    shape = graph.concat([graph.constant([len(layers.parts)]), rows, graph.constant([layers.hidden])], 0)
    zero = graph.add("Expand", [graph.constant(0.0), shape])
    return run_layers(graph, layers, x, {"h": zero, "c": zero}, lengths)


def _inside(graph: Graph, x: str, lengths: str) -> str:
    """Whether a step lies within its length, [T, B, 1]."""
    steps = graph.add("Squeeze", [graph.add("Shape", [x], {"start": 0, "end": 1}), graph.constant([0])])
    zero, one = (graph.constant(np.asarray(n, np.int64)) for n in (0, 1))
    time = graph.reshape(graph.add("Range", [zero, steps, one]), [-1, 1, 1])
    return graph.add("Less", [time, graph.reshape(lengths, [1, -1, 1])])


def _convolved(graph: Graph, part: Any, x: str) -> str:
    (taps,) = part.kernel_size
    pads = [(taps - 1) // 2, taps - 1 - (taps - 1) // 2]
    return graph.add("Conv", [x, graph.constant(_array(part.weight))], {"pads": pads, "kernel_shape": [taps]})


def _normed(graph: Graph, norm: Any, x: str) -> str:
    """Batch norm of evaluation and ReLU, [B, C, T]."""
    scale = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
    shift = _array(norm.bias) - _array(norm.running_mean) * scale
    y = graph.add("Mul", [x, graph.constant(scale[:, None])])
    return graph.add("Relu", [graph.add("Add", [y, graph.constant(shift[:, None])])])


def _linear(graph: Graph, x: str, part: Any) -> str:
    y = graph.add("MatMul", [x, graph.constant(_array(part.weight).T)])
    return graph.add("Add", [y, graph.constant(_array(part.bias))])


def _pooled(graph: Graph, y: str, inside: str) -> str:
    """Mean and maximum [B, 2 E] over the valid steps of y [T, B, E]."""
    axis = graph.constant([0])
    count = graph.add("ReduceSum", [graph.add("Cast", [inside], {"to": 1}), axis], {"keepdims": 0})
    held = graph.add("Where", [inside, y, graph.constant(0.0)])
    mean = graph.add("Div", [graph.add("ReduceSum", [held, axis], {"keepdims": 0}), count])
    most = graph.add("Where", [inside, y, graph.constant(_FAR)])
    return graph.concat([mean, graph.add("ReduceMax", [most, axis], {"keepdims": 0})], 1)


def _viterbi(graph: Graph, emissions: str, inside: str, scores: list[np.ndarray]) -> str:
    """The best label sequence [T, B]: forwards with pointers to the label before, then back along them.

    Beyond a length a pointer leads to itself, so that nothing has to know where a row ends.
    """
    transitions, begin, end = scores
    count = len(begin)
    rows = graph.add("Shape", [emissions], {"start": 1, "end": 2})
    start = graph.add("Expand", [graph.constant(0.0), graph.concat([rows, graph.constant([count])], 0)])
    times = graph.add("Shape", [emissions], {"start": 0, "end": 1})
    zero, one = (graph.constant(np.asarray(n, np.int64)) for n in (0, 1))
    time = graph.add("Range", [zero, graph.add("Squeeze", [times, graph.constant([0])]), one])
    first = graph.reshape(graph.add("Equal", [time, zero]), [-1, 1, 1])
    body = graph.body("forwards")
    old = body.input(body.fresh("a"), ["B", count])
    e = body.input(body.fresh("e"), ["B", count])
    valid = body.input(body.fresh("valid"), ["B", 1], np.bool_)
    begins = body.input(body.fresh("first"), [1, 1], np.bool_)
    ways = body.add("Add", [body.add("Unsqueeze", [old, body.constant([2])]), body.constant(transitions[None])])
    best = body.add("ReduceMax", [ways, body.constant([1])], {"keepdims": 0})
    before = body.add("ArgMax", [ways], {"axis": 1, "keepdims": 0})
    new = body.add("Add", [body.add("Where", [begins, body.constant(begin[None]), best]), e])
    body.output(body.fresh("a"), body.add("Where", [valid, new, old]), ["B", count])
    itself = body.constant(np.arange(count)[None])
    body.output(body.fresh("from"), body.add("Where", [valid, before, itself]), ["B", count], np.int64)
    scanned = [start, emissions, inside, first]
    final, pointers = graph.several("Scan", scanned, {"body": body.as_attribute(), "num_scan_inputs": 3}, outputs=2)
    last = graph.add("ArgMax", [graph.add("Add", [final, graph.constant(end)])], {"axis": 1, "keepdims": 0})
    body = graph.body("backwards")
    tag = body.input(body.fresh("tag"), ["B"], np.int64)
    pointer = body.input(body.fresh("from"), ["B", count], np.int64)
    column = body.add("Unsqueeze", [tag, body.constant([1])])
    previous = body.add("GatherElements", [pointer, column], {"axis": 1})
    body.output(body.fresh("tag"), body.add("Squeeze", [previous, body.constant([1])]), ["B"], np.int64)
    body.output(body.fresh("tag"), tag, ["B"], np.int64)
    attributes = {
        "body": body.as_attribute(),
        "num_scan_inputs": 1,
        "scan_input_directions": [1],
        "scan_output_directions": [1],
    }
    return graph.several("Scan", [last, pointers], attributes, outputs=2)[1]


def _array(value: Tensor) -> np.ndarray:
    return value.detach().to("cpu").float().contiguous().numpy()
