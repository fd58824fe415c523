"""Recurrent layers as ONNX: the standard LSTM, GRU or RNN node where one fits, a Scan of the cell's program otherwise.

Time is dynamic, states go in and out, and `lengths` mean what they mean everywhere here: outputs beyond are zero, the
final state is that of the last valid step. Layer norm, projection and zoneout's expectation are part of the Scan.
"""

from collections.abc import Mapping

import numpy as np

from karussell.program import Program, program
from karussell.program.emit_cpp import gate, stage_gates
from karussell.program.emit_onnx import StandardNode, depends, emit, standard_node
from karussell.program.program import StageProgram
from karussell.serve.graph import Graph
from karussell.serve.layers import Direction, Layers

_EPS = 1e-5


def run_layers(
    graph: Graph,
    layers: Layers,
    x: str,
    state: Mapping[str, str],
    lengths: str | None = None,
    inputs: Mapping[str, str] | None = None,
) -> tuple[str, dict[str, str]]:
    """The layers on x [T, B, I]: the output [T, B, directions * width] and the final states by name.

    state    by name, [layers * directions, B, width]
    lengths  [B] int64, or None
    inputs   the cell's per-step inputs by name, [T, B, 1] or [T, B, H]
    """
    node = standard_node(layers.cell) if _plain(layers) else None
    rows = {n: graph.split(v, 0, [1] * len(layers.parts)) for n, v in state.items()}
    finals: dict[str, list[str]] = {n: [] for n in layers.cell.state}
    for layer in range(layers.count):
        index = layer * layers.directions
        parts = layers.parts[index : index + layers.directions]
        given = {n: rows[n][index : index + layers.directions] for n in rows}
        if node is not None:
            y, final = _standard(graph, layers, node, parts, x, given, lengths)
        else:
            found = [
                _scan(graph, layers, part, x, {n: given[n][d] for n in given}, lengths, inputs or {}, reverse=d == 1)
                for d, part in enumerate(parts)
            ]
            y = graph.concat([f[0] for f in found], 2)
            final = {n: [f[1][n] for f in found] for n in layers.cell.state}
        x = graph.add("Add", [y, x]) if layers.residual and layer else y
        for n in finals:
            finals[n] += final[n]
    return x, {n: graph.concat(v, 0) for n, v in finals.items()}


def _plain(layers: Layers) -> bool:
    if layers.projection or any((layers.zoneout or {}).values()) or layers.cell.inputs:
        return False
    return all(part.norm_x is None for part in layers.parts)


# ----- the standard node


def _standard(
    graph: Graph,
    layers: Layers,
    node: StandardNode,
    parts: tuple[Direction, ...],
    x: str,
    state: Mapping[str, list[str]],
    lengths: str | None,
) -> tuple[str, dict[str, list[str]]]:
    hidden, directions = layers.hidden, len(parts)
    w = np.stack([_rows(layers, node, part.w) for part in parts])
    r = np.stack([_recurrent_rows(layers, node, part) for part in parts])
    b = np.stack([_biases(layers, node, part) for part in parts])
    names = [x, graph.constant(w), graph.constant(r), graph.constant(b)]
    names.append("" if lengths is None else graph.add("Cast", [lengths], {"to": 6}))
    wide = [graph.concat([_widened(graph, layers, n, v) for v in state[n]], 0) for n in layers.cell.state]
    names += wide
    if any(node.peepholes):
        zero = np.zeros(hidden, np.float32)
        each = [np.concatenate([zero if u is None else part.units[u] for u in node.peepholes]) for part in parts]
        names.append(graph.constant(np.stack(each)))
    attributes = dict(node.attributes) | {"hidden_size": hidden}
    if directions == 2:
        attributes["direction"] = "bidirectional"
        if "activations" in attributes:
            attributes["activations"] = attributes["activations"] * 2
    y, *finals = graph.several(node.kind, names, attributes, outputs=1 + len(layers.cell.state))
    # [T, directions, B, H] -> [T, B, directions * H]
    y = graph.reshape(graph.add("Transpose", [y], {"perm": [0, 2, 1, 3]}), [0, 0, -1])
    made = zip(layers.cell.state, finals, strict=True)
    return y, {n: [_narrowed(graph, layers, n, v) for v in graph.split(f, 0, [1] * directions)] for n, f in made}


def _rows(layers: Layers, node: StandardNode, matrix: np.ndarray) -> np.ndarray:
    """Rows gate after gate in the node's order; zeros for what it does not look at."""
    blocks = dict(zip(layers.cell.gates, np.split(matrix, len(layers.cell.gates)), strict=True))
    zero = np.zeros_like(matrix[: layers.hidden])
    return np.concatenate([zero if q is None else blocks[q] for q in node.gates])


def _recurrent_rows(layers: Layers, node: StandardNode, part: Direction) -> np.ndarray:
    # stage after stage is the cell's own order of gates
    return _rows(layers, node, np.concatenate(part.r))


def _biases(layers: Layers, node: StandardNode, part: Direction) -> np.ndarray:
    gates, hidden = layers.cell.gates, layers.hidden
    b = np.zeros(len(gates) * hidden, np.float32) if part.b is None else part.b
    own = np.zeros_like(b)
    if part.b_r is not None:
        # split gates have a recurrent bias of their own
        for q, value in zip(layers.cell.split_gates, np.split(part.b_r, len(layers.cell.split_gates)), strict=True):
            own[gates.index(q) * hidden :][:hidden] = value
    return np.concatenate([_rows(layers, node, b), _rows(layers, node, own)])


# ----- the program in a Scan


def _scan(
    graph: Graph,
    layers: Layers,
    part: Direction,
    x: str,
    state: Mapping[str, str],
    lengths: str | None,
    inputs: Mapping[str, str],
    *,
    reverse: bool,
) -> tuple[str, dict[str, str]]:
    cell, hidden, p = layers.cell, layers.hidden, program(layers.cell)
    start = [graph.add("Squeeze", [_widened(graph, layers, n, state[n]), graph.constant([0])]) for n in cell.state]
    per_step = [_input_products(graph, layers, part, x)] + [inputs[n] for n in cell.inputs]
    if lengths is not None:
        per_step.append(_valid(graph, x, lengths))
    body = graph.body(f"{cell.name}_step")
    widths = [layers.width if n == cell.state[0] else hidden for n in cell.state]
    old = {n: body.input(body.fresh(n), ["B", w]) for n, w in zip(cell.state, widths, strict=True)}
    arrived = body.input(body.fresh("wx"), ["B", len(p.fed) * hidden])
    extra = {n: body.input(body.fresh(n), ["B", body.fresh("width")]) for n in cell.inputs}
    valid = body.input(body.fresh("valid"), ["B", 1], np.bool_) if lengths is not None else None
    new = _step(body, layers, part, p, old, arrived, extra)
    shown = new[cell.state[0]]
    if valid is not None:
        zero = body.constant(0.0)
        shown = body.add("Where", [valid, shown, zero])
        new = {n: body.add("Where", [valid, v, old[n]]) for n, v in new.items()}
    for n, w in zip(cell.state, widths, strict=True):
        body.output(body.fresh(n), new[n], ["B", w])
    body.output(body.fresh("y"), shown, ["B", widths[0]])
    attributes = {"body": body.as_attribute(), "num_scan_inputs": len(per_step)}
    if reverse:
        attributes |= {"scan_input_directions": [1] * len(per_step), "scan_output_directions": [1]}
    *finals, y = graph.several("Scan", [*start, *per_step], attributes, outputs=len(cell.state) + 1)
    rows = [graph.add("Unsqueeze", [f, graph.constant([0])]) for f in finals]
    return y, {n: _narrowed(graph, layers, n, f) for n, f in zip(cell.state, rows, strict=True)}


def _input_products(graph: Graph, layers: Layers, part: Direction, x: str) -> str:
    """W x with the biases that belong to it, [T, B, fed gates * H], all steps at once."""
    cell, hidden = layers.cell, layers.hidden
    z = graph.add("MatMul", [x, graph.constant(part.w.T)])
    if part.norm_x is not None:
        z = _normalised(graph, z, part.norm_x, hidden, lead=2)
    if part.b is not None:
        blocks = dict(zip(cell.gates, np.split(part.b, len(cell.gates)), strict=True))
        z = graph.add("Add", [z, graph.constant(np.concatenate([blocks[q] for q in cell.fed]))])
    return z


def _step(
    body: Graph,
    layers: Layers,
    part: Direction,
    p: Program,
    old: Mapping[str, str],
    arrived: str,
    inputs: Mapping[str, str],
) -> dict[str, str]:
    """One step of the program: the new states by name."""
    hidden, count = layers.hidden, len(p.states)
    fed = dict(zip(p.fed, body.split(arrived, 1, [hidden] * len(p.fed)), strict=True))
    values = {k: old[n] for k, n in enumerate(p.states)}
    taken = {v for stage in p.stages for v in stage.takes}
    units = {p.first_fixed + k: part.units[n] for k, n in enumerate(p.units + p.constants)}
    values |= {v: body.constant(unit) for v, unit in units.items() if v in taken}
    first = p.first_fixed + len(p.units + p.constants)
    values |= {first + k: inputs[n] for k, n in enumerate(p.inputs)}
    seeing = 0
    for stage in p.stages:
        recurrent: dict[str, str] = {}
        if stage.sees:
            recurrent = _products(body, layers, part, p, stage, seeing, values)
            seeing += 1
        arrivals = _arrivals(body, layers, part, p, stage, fed, recurrent)
        names = {f"z{k}": z for k, z in enumerate(arrivals)} | {f"v{v}": values[v] for v in stage.takes}
        made = emit(stage.forward, names, body.add, body.constant)
        shaped = {n for n in names if n[0] == "z" or int(n[1:]) < p.first_fixed}
        for k, v in enumerate(stage.writes):
            if not depends(stage.forward, k, shaped):
                made[k] = body.add("Expand", [made[k], body.add("Shape", [arrivals[0]])])
            values[v] = made[k]
    new = {n: values[count + k] for k, n in enumerate(p.states)}
    if part.p is not None:
        new[p.states[0]] = body.add("MatMul", [new[p.states[0]], body.constant(part.p.T)])
    for n, rate in (layers.zoneout or {}).items():
        if rate:
            kept = body.add("Mul", [old[n], body.constant(float(rate))])
            new[n] = body.add("Add", [kept, body.add("Mul", [new[n], body.constant(1 - float(rate))])])
    return new


def _products(
    body: Graph,
    layers: Layers,
    part: Direction,
    p: Program,
    stage: StageProgram,
    seeing: int,
    values: Mapping[int, str],
) -> dict[str, str]:
    """R times what the stage sees, by gate."""
    seen = body.concat([values[v] for v in stage.sees], 1)
    z = body.add("MatMul", [seen, body.constant(part.r[seeing].T)])
    if part.norm_r is not None:
        z = _normalised(body, z, part.norm_r[seeing], layers.hidden, lead=1)
    gates = stage_gates(p, stage)
    return dict(zip(gates, body.split(z, 1, [layers.hidden] * len(gates)), strict=True))


def _arrivals(
    body: Graph,
    layers: Layers,
    part: Direction,
    p: Program,
    stage: StageProgram,
    fed: Mapping[str, str],
    recurrent: Mapping[str, str],
) -> list[str]:
    """The pre-activations of a stage in the program's order."""
    hidden, found = layers.hidden, []
    for k, a in enumerate(stage.arrivals):
        q = gate(p, a)
        terms = [fed[q]] if stage.fed and k < stage.alone + stage.joined else []
        terms += [recurrent[q]] if k >= stage.alone else []
        if not terms:
            raise ValueError(f"export: nothing arrives at gate {a!r} of {p.name}")
        bias = None
        if q in p.split and k >= stage.alone + stage.joined:
            bias = None if part.b_r is None else part.b_r[p.split.index(q) * hidden :][:hidden]
        elif not stage.fed and part.b is not None:
            bias = part.b[p.gates.index(q) * hidden :][:hidden]
        terms += [] if bias is None else [body.constant(bias)]
        z = terms[0]
        for term in terms[1:]:
            z = body.add("Add", [z, term])
        found.append(z)
    return found


def _normalised(graph: Graph, z: str, gain: np.ndarray, hidden: int, *, lead: int) -> str:
    """Layer norm gate by gate, gain only."""
    parts = graph.reshape(z, [*[0] * lead, -1, hidden])
    one = graph.constant(np.ones(hidden, np.float32))
    parts = graph.add("LayerNormalization", [parts, one], {"axis": -1, "epsilon": _EPS})
    return graph.add("Mul", [graph.reshape(parts, [*[0] * lead, -1]), graph.constant(gain)])


def _valid(graph: Graph, x: str, lengths: str) -> str:
    """Whether a step lies within its row, [T, B, 1]."""
    steps = graph.add("Squeeze", [graph.add("Shape", [x], {"start": 0, "end": 1}), graph.constant([0])])
    zero, one = graph.constant(np.asarray(0, np.int64)), graph.constant(np.asarray(1, np.int64))
    time = graph.reshape(graph.add("Range", [zero, steps, one]), [-1, 1, 1])
    return graph.add("Less", [time, graph.reshape(lengths, [1, -1, 1])])


def _widened(graph: Graph, layers: Layers, name: str, value: str) -> str:
    """A state [..., width] with one value a cell, where a block has one."""
    cell = layers.cell
    if cell.block == 1 or name not in cell.shared:
        return value
    index = np.repeat(np.arange(layers.hidden // cell.block), cell.block)
    return graph.add("Gather", [value, graph.constant(index)], {"axis": 2})


def _narrowed(graph: Graph, layers: Layers, name: str, value: str) -> str:
    cell = layers.cell
    if cell.block == 1 or name not in cell.shared:
        return value
    return graph.add("Gather", [value, graph.constant(np.arange(0, layers.hidden, cell.block))], {"axis": 2})
