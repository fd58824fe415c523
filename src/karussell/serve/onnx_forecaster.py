"""A forecaster as ONNX: windows in, forecasts in the data's own units out, the batch dynamic.

    in    context [B, L] on the window's scale, gaps filled; there [B, L] 1 where a value was there, else 0;
          past [B, L, P], future [B, D, F], static [B, S], as far as the model has calendar and covariates;
          centre [B], scale [B] of the window
    out   quantiles [B, D, Q] and mean [B, D] of a model of quantiles; of a distribution its raw outputs [B, D, outputs]

Metadata says what the calendar, the covariates and the season are; `karussell.tasks.forecast.windows` makes windows.
"""

import json

import numpy as np

from karussell.errors import InputError
from karussell.serve.graph import Graph
from karussell.serve.layers import layers_of
from karussell.serve.onnx_layers import run_layers
from karussell.serve.onnx_sequences import _array, _linear
from karussell.tasks.config import to_json
from karussell.tasks.forecast.heads import mean_weights
from karussell.tasks.forecaster import Forecaster


def forecaster(model: Forecaster) -> bytes:
    """The file of a forecaster."""
    graph, network, config = Graph("forecaster"), model.network, model.config
    if config.distribution == "negative_binomial":
        raise InputError("export: a negative binomial draws its quantiles; export a model of --distribution quantiles")
    past, future, static = model.facts.widths
    context = graph.input("context", ["B", config.context])
    there = graph.input("there", ["B", config.context])
    last = graph.constant([2])
    seen = [graph.add("Unsqueeze", [x, last]) for x in (context, there)]
    if past:
        seen.append(graph.input("past", ["B", config.context, past]))
    x = _patches(graph, graph.concat(seen, 2), network.patch, network.context_patches, config.context, 2 + past, True)
    rows = graph.add("Shape", [context], {"start": 0, "end": 1})
    position = _array(network.position)[:, None]
    shape = graph.concat([graph.constant([len(position)]), rows, graph.constant([position.shape[2]])], 0)
    ahead = [graph.add("Expand", [graph.constant(position), shape])]
    if future:
        given = graph.input("future", ["B", config.horizon, future])
        count, steps = network.future_patches, config.horizon
        ahead.insert(0, _patches(graph, given, network.patch, count, steps, future, False))
    x, z = _linear(graph, x, network.read_past), _linear(graph, graph.concat(ahead, 2), network.read_future)
    if network.read_static is not None:
        about = graph.input("static", ["B", static])
        more = graph.add("MatMul", [about, graph.constant(_array(network.read_static.weight).T)])
        x, z = (graph.add("Add", [part, more]) for part in (x, z))
    layers = layers_of(network.past)
    shape = graph.concat([graph.constant([len(layers.parts)]), rows, graph.constant([layers.hidden])], 0)
    zero = graph.add("Expand", [graph.constant(0.0), shape])
    _, state = run_layers(graph, layers, graph.add("Relu", [x]), {"h": zero, "c": zero})
    y, _ = run_layers(graph, layers_of(network.future), graph.add("Relu", [z]), state)
    raw = graph.add("Transpose", [_linear(graph, y, network.out)], {"perm": [1, 0, 2]})
    raw = graph.slice(graph.reshape(raw, [0, -1, network.outputs]), 1, 0, config.horizon)
    base = graph.add("Unsqueeze", [_linear(graph, context, network.skip), last])
    sides = [0, 0, network.main, 0, 0, network.outputs - network.main - 1]
    raw = graph.add("Add", [raw, graph.add("Pad", [base, graph.constant(sides)])])
    _outputs(graph, model, raw)
    settings = {"config": json.dumps(to_json(config)), "facts": json.dumps(model.facts.to_json())}
    return graph.model({"task": model.task, **settings})


def _outputs(graph: Graph, model: Forecaster, raw: str) -> None:
    config, levels = model.config, model.config.levels
    centre, scale = (graph.reshape(graph.input(name, ["B"]), [-1, 1, 1]) for name in ("centre", "scale"))
    if config.distribution != "quantiles":
        graph.output("raw", raw, ["B", config.horizon, model.network.outputs])
        return
    at, count = levels.index(0.5), len(levels)
    middle, one = graph.slice(raw, 2, at, at + 1), graph.constant(1.0)
    parts = [middle]
    for side, first, end in (("up", at + 1, count), ("down", 0, at)):
        if end > first:
            gaps = graph.add("Softplus", [graph.add("Sub", [graph.slice(raw, 2, first, end), one])])
            axis = graph.constant(np.asarray(2, np.int64))
            if side == "up":
                parts.append(graph.add("Add", [middle, graph.add("CumSum", [gaps, axis])]))
            else:
                parts.insert(0, graph.add("Sub", [middle, graph.add("CumSum", [gaps, axis], {"reverse": 1})]))
    quantiles = graph.concat(parts, 2)
    weights = np.asarray(mean_weights(levels), np.float32)
    weighted = graph.add("Mul", [quantiles, graph.constant(weights)])
    mean = graph.add("ReduceSum", [weighted, graph.constant([2])], {"keepdims": 1})
    if model.facts.stretch:
        away = graph.add(
            "Mul", [graph.add("Sub", [quantiles, middle]), graph.constant(np.asarray(model.facts.stretch, np.float32))]
        )
        stretched = graph.add("Add", [middle, away])
        order = {"axis": 2, "largest": 0, "sorted": 1}
        quantiles, _ = graph.several("TopK", [stretched, graph.constant([count])], order, outputs=2)
    found = {"quantiles": quantiles, "mean": mean}
    for name, value in found.items():
        value = graph.add("Add", [graph.add("Mul", [value, scale]), centre])
        if model.facts.positive:
            value = graph.add("Relu", [value])
        if name == "mean":
            value = graph.add("Squeeze", [value, graph.constant([2])])
        shape: list[int | str] = ["B", config.horizon]
        graph.output(name, value, shape if name == "mean" else [*shape, count])


def _patches(graph: Graph, x: str, patch: int, count: int, steps: int, width: int, front: bool) -> str:
    """Steps [B, T, F] as patches [count, B, P * F]; what is missing at one end is zero."""
    short = count * patch - steps
    if short:
        x = graph.add("Pad", [x, graph.constant([0, short, 0, 0, 0, 0] if front else [0, 0, 0, 0, short, 0])])
    return graph.add("Transpose", [graph.reshape(x, [0, count, patch * width])], {"perm": [1, 0, 2]})
