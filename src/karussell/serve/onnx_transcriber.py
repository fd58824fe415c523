"""A transcriber as ONNX: normalised features in, log-posteriors out, every state explicit, time dynamic.

    whole      features [T, B, F], lengths [B], h, c            -> log_probs [T', B, K], log_lengths [B], h_n, c_n
    streaming  features [T, B, F], last, h, c, past_k, around   -> log_probs, h_n, c_n, past_k_n, around_n

States are [layers * directions, B, H]. The streaming form, of models of one direction, takes a recording in pieces of
any length from `LEAST` steps on; what it still needs of them is in past_k [B, C, n, F] and around [B, H, n], which
begin as `begin` says. `last` is 1 with the last piece and 0 before.
"""

import numpy as np

from karussell.cells import LSTM
from karussell.runtime.plan import Convolution, Dense, Plan
from karussell.serve.graph import Graph
from karussell.serve.layers import Direction, Layers
from karussell.serve.onnx_layers import run_layers

_EPS = 1e-5
LEAST = 4
"""Steps of the network that the shortest piece of a stream must hold, save the last."""


def whole(plan: Plan) -> Graph:
    """The graph for whole recordings, a batch of any lengths."""
    graph = Graph("transcriber")
    x, lengths = graph.input("features", ["T", "B", plan.bank.bands]), graph.input("lengths", ["B"], np.int64)
    state = _state_inputs(graph, plan)
    x = graph.add("Unsqueeze", [graph.add("Transpose", [x], {"perm": [1, 0, 2]}), graph.constant([1])])
    for c in plan.convolutions:
        x = graph.add("Relu", [_convolved(graph, c, _silenced(graph, x, lengths, 4), pad=1)])
        stride = graph.constant(np.asarray(c.time_stride, np.int64))
        more = graph.add("Add", [lengths, graph.constant(np.asarray(c.time_stride - 1, np.int64))])
        lengths = graph.add("Div", [more, stride])
    x = _projected(graph, plan, x)
    if plan.around is not None:
        taps = len(plan.around.w)
        left = (taps - 1) // 2
        seen = _silenced(graph, graph.add("Transpose", [x], {"perm": [1, 2, 0]}), lengths, 3)
        x = graph.add("Add", [x, _around(graph, plan.around, seen, [left, taps - 1 - left])])
    _finish(graph, plan, x, state, lengths)
    graph.output("log_lengths", lengths, ["B"], np.int64)
    return graph


def streaming(plan: Plan) -> Graph:
    """The graph for recordings in pieces; all rows of a batch go along together."""
    graph = Graph("transcriber_stream")
    x, last = graph.input("features", ["T", "B", plan.bank.bands]), graph.input("last", [1], np.int64)
    state = _state_inputs(graph, plan)
    batch = graph.add("Shape", [x], {"start": 1, "end": 2})
    x = graph.add("Unsqueeze", [graph.add("Transpose", [x], {"perm": [1, 0, 2]}), graph.constant([1])])
    bands, channels, outputs = plan.bank.bands, 1, []
    for k, c in enumerate(plan.convolutions):
        shape: list[int | str] = ["B", channels, f"n_{k}", bands]
        past = graph.input(f"past_{k}", shape)
        x = graph.concat([past, x, _zeros(graph, [batch, [channels], last, [bands]])], 2)
        y = graph.add("Relu", [_convolved(graph, c, x, pad=0)])
        # the next window begins where no output was centred yet
        done = graph.add("Mul", [graph.add("Shape", [y], {"start": 2, "end": 3}), graph.constant([c.time_stride])])
        rest = graph.add("Slice", [x, done, graph.constant([1 << 40]), graph.constant([2])])
        outputs.append((f"past_{k}_n", rest, [*shape[:2], f"n_{k}_n", bands]))
        x, channels, bands = y, len(c.b), -(-bands // c.band_stride)
    x = _projected(graph, plan, x)
    if plan.around is not None:
        taps, hidden = len(plan.around.w), plan.hidden
        left = (taps - 1) // 2
        past = graph.input("around", ["B", hidden, "n"])
        end = graph.add("Mul", [last, graph.constant([taps - 1 - left])])
        seen = graph.add("Transpose", [x], {"perm": [1, 2, 0]})
        seen = graph.concat([past, seen, _zeros(graph, [batch, [hidden], end])], 2)
        y = _around(graph, plan.around, seen, [0, 0])
        count = graph.add("Shape", [y], {"start": 0, "end": 1})
        rest = graph.add("Slice", [seen, count, graph.constant([1 << 40]), graph.constant([2])])
        outputs.append(("around_n", rest, ["B", hidden, "n_n"]))
        stop = graph.add("Add", [count, graph.constant([left])])
        centre = graph.add("Slice", [seen, graph.constant([left]), stop, graph.constant([2])])
        x = graph.add("Add", [graph.add("Transpose", [centre], {"perm": [2, 0, 1]}), y])
    _finish(graph, plan, x, state, None)
    for name, value, shape in outputs:
        graph.output(name, value, shape)
    return graph


def begin(plan: Plan, batch: int) -> dict[str, np.ndarray]:
    """The states that a recording begins with, for the streaming form."""
    found = {n: np.zeros((len(plan.lstm), batch, plan.hidden), np.float32) for n in ("h", "c")}
    bands, channels = plan.bank.bands, 1
    for k, c in enumerate(plan.convolutions):
        found[f"past_{k}"] = np.zeros((batch, channels, 1, bands), np.float32)
        bands, channels = -(-bands // c.band_stride), len(c.b)
    if plan.around is not None:
        found["around"] = np.zeros((batch, plan.hidden, (len(plan.around.w) - 1) // 2), np.float32)
    return found


def _state_inputs(graph: Graph, plan: Plan) -> dict[str, str]:
    return {n: graph.input(n, [len(plan.lstm), "B", plan.hidden]) for n in ("h", "c")}


def _finish(graph: Graph, plan: Plan, x: str, state: dict[str, str], lengths: str | None) -> None:
    y, final = run_layers(graph, _layers(plan), x, state, lengths)
    logits = graph.add("Add", [graph.add("MatMul", [y, graph.constant(plan.out)]), graph.constant(plan.out_b)])
    log_probs = graph.add("LogSoftmax", [logits], {"axis": -1})
    graph.output("log_probs", log_probs, ["T_out", "B", plan.labels])
    for n, value in final.items():
        graph.output(f"{n}_n", value, [len(plan.lstm), "B", plan.hidden])


def _layers(plan: Plan) -> Layers:
    parts = tuple(Direction(p.w.T, (p.r.T,), p.b, None, {}, None, None, None, {}) for p in plan.lstm)
    return Layers(LSTM, plan.hidden, plan.hidden, plan.directions, parts)


def _convolved(graph: Graph, c: Convolution, x: str, *, pad: int) -> str:
    w = graph.constant(c.w.transpose(3, 2, 0, 1))
    attributes = {"strides": [c.time_stride, c.band_stride], "pads": [pad, 1, pad, 1], "kernel_shape": [3, 3]}
    return graph.add("Conv", [x, w, graph.constant(c.b)], attributes)


def _projected(graph: Graph, plan: Plan, x: str) -> str:
    """[B, C, T, F] to [T, B, H]."""
    flat = graph.reshape(graph.add("Transpose", [x], {"perm": [2, 0, 3, 1]}), [0, 0, len(plan.project.w)])
    z = graph.add("Add", [graph.add("MatMul", [flat, graph.constant(plan.project.w)]), graph.constant(plan.project.b)])
    return _norm_relu(graph, plan.project, z)


def _around(graph: Graph, part: Dense, x: str, pads: list[int]) -> str:
    """The context of every step: x [B, H, T] to [T, B, H]."""
    attributes = {"pads": pads, "kernel_shape": [len(part.w)]}
    y = graph.add("Conv", [x, graph.constant(part.w.transpose(2, 1, 0)), graph.constant(part.b)], attributes)
    return _norm_relu(graph, part, graph.add("Transpose", [y], {"perm": [2, 0, 1]}))


def _norm_relu(graph: Graph, part: Dense, x: str) -> str:
    names = [x, graph.constant(part.gain), graph.constant(part.shift)]
    return graph.add("Relu", [graph.add("LayerNormalization", names, {"axis": -1, "epsilon": _EPS})])


def _silenced(graph: Graph, x: str, lengths: str, dims: int) -> str:
    """Zero beyond each row's length; x [B, C, T, F] or [B, C, T]."""
    axis = graph.constant([0])
    steps = graph.add("Squeeze", [graph.add("Shape", [x], {"start": 2, "end": 3}), axis])
    zero, one = graph.constant(np.asarray(0, np.int64)), graph.constant(np.asarray(1, np.int64))
    time = graph.reshape(graph.add("Range", [zero, steps, one]), [1, 1, -1, 1][:dims])
    inside = graph.add("Less", [time, graph.reshape(lengths, [-1, 1, 1, 1][:dims])])
    return graph.add("Where", [inside, x, graph.constant(0.0)])


def _zeros(graph: Graph, shape: list[str | list[int]]) -> str:
    """Zeros of a shape some of whose sizes are known at run time only."""
    sizes = [s if isinstance(s, str) else graph.constant(s) for s in shape]
    return graph.add("Expand", [graph.constant(0.0), graph.concat(sizes, 0)])
