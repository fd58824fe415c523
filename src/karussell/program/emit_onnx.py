"""Print a program as ONNX operators, and say which standard ONNX node computes the same.

The instructions of a stage become operators on tensors [B, H]; the products around them are the exporter's. Nothing
here needs the onnx package: operators go out through `add`, which takes a kind, names and attributes and gives a name.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from karussell.cells import CIFG, GRU, LSTM, RNN, Cell, GRUResetBefore, PeepholeLSTM, ReLURNN
from karussell.program.emit_cpp import gate
from karussell.program.graph import Node, compact, needed
from karussell.program.program import Instructions, Program, program

Add = Callable[[str, Sequence[str], Mapping[str, Any]], str]
"""(kind, inputs, attributes) -> the name of the output."""

_DIRECT = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "neg": "Neg", "abs": "Abs", "exp": "Exp", "log": "Log",
    "sqrt": "Sqrt", "reciprocal": "Reciprocal", "tanh": "Tanh", "sigmoid": "Sigmoid", "sin": "Sin", "cos": "Cos",
    "erf": "Erf", "floor": "Floor", "ceil": "Ceil", "round": "Round", "sign": "Sign", "atan": "Atan", "asin": "Asin",
    "acos": "Acos", "sinh": "Sinh", "cosh": "Cosh", "pow": "Pow", "maximum": "Max", "minimum": "Min", "lt": "Less",
    "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual", "eq": "Equal", "and": "And", "or": "Or", "not": "Not",
    "where": "Where",
}  # fmt: skip


class StandardNode(NamedTuple):
    """The ONNX node that computes a cell.

    gates      the cell's gates in ONNX's order; None stands for a gate that the node does not look at
    peepholes  unit vectors in ONNX's order i o f, None where there is none
    """

    kind: str
    gates: tuple[str | None, ...]
    attributes: Mapping[str, Any]
    peepholes: tuple[str | None, ...] = ()


_NODES: Mapping[Cell, StandardNode] = {
    LSTM: StandardNode("LSTM", ("i", "o", "f", "g"), {}),
    PeepholeLSTM: StandardNode("LSTM", ("i", "o", "f", "g"), {}, ("p_i", "p_o", "p_f")),
    CIFG: StandardNode("LSTM", ("i", "o", None, "g"), {"input_forget": 1}, ("p_i", "p_o", None)),
    GRU: StandardNode("GRU", ("z", "r", "n"), {"linear_before_reset": 1}),
    GRUResetBefore: StandardNode("GRU", ("z", "r", "n"), {"linear_before_reset": 0}),
    RNN: StandardNode("RNN", ("a",), {"activations": ("Tanh",)}),
    ReLURNN: StandardNode("RNN", ("a",), {"activations": ("Relu",)}),
}


def standard_node(cell: Cell) -> StandardNode | None:
    """The standard node of this cell's program, under whatever name the cell goes; None if there is none."""
    made = program(cell)
    found = _by_arithmetic().get(_arithmetic(made))
    if found is None:
        return None
    own = program(found)
    # names may differ, the arithmetic does not: gates and unit vectors correspond by their order
    gates = dict(zip(own.gates, made.gates, strict=True))
    unit = dict(zip(own.units, made.units, strict=True))
    node = _NODES[found]
    return node._replace(
        gates=tuple(None if q is None else gates[q] for q in node.gates),
        peepholes=tuple(None if u is None else unit[u] for u in node.peepholes),
    )


@lru_cache
def _by_arithmetic() -> Mapping[Hashable, Cell]:
    return {_arithmetic(program(cell)): cell for cell in _NODES}


def _arithmetic(p: Program) -> Hashable:
    """What a program computes, without a name."""
    stages = []
    for s in p.stages:
        arrivals = tuple((p.gates.index(gate(p, a)), a in p.gates) for a in s.arrivals)
        outputs = s.forward.outputs[: len(s.writes)]
        stages.append((arrivals, s.fed, s.takes, s.sees, s.writes, compact(s.forward.nodes, outputs)))
    fed, split = (tuple(map(p.gates.index, names)) for names in (p.fed, p.split))
    sizes = tuple(map(len, (p.gates, p.states, p.between, p.units, p.constants, p.inputs)))
    return (sizes, fed, split, tuple(stages))


def emit(code: Instructions, inputs: Mapping[str, str], add: Add, constant: Callable[[float], str]) -> list[str]:
    """Print the instructions; `inputs` gives the tensor of every input by its name in them. The outputs' names.

    An output that no input of the step's own shape feeds may be narrower than [B, H]; see `depends`.
    """
    names: list[str] = []
    for node in code.nodes:
        if node.op == "input":
            names.append(inputs[node.name])
        elif node.op == "constant":
            names.append(constant(node.value))
        else:
            names.append(_operator(node, [names[a] for a in node.args], add, constant))
    return [names[o] for o in code.outputs]


def depends(code: Instructions, output: int, names: set[str]) -> bool:
    """Whether one of the instructions' outputs depends on one of the named inputs."""
    found = needed(code.nodes, [code.outputs[output]])
    return any(code.nodes[k].op == "input" and code.nodes[k].name in names for k in found)


def _operator(node: Node, a: list[str], add: Add, constant: Callable[[float], str]) -> str:
    if node.op in _DIRECT:
        return add(_DIRECT[node.op], a, {})
    if node.op == "ne":
        return add("Not", [add("Equal", a, {})], {})
    if node.op == "rsqrt":
        return add("Reciprocal", [add("Sqrt", a, {})], {})
    if node.op == "log1p":
        return add("Log", [add("Add", [a[0], constant(1.0)], {})], {})
    if node.op == "expm1":
        return _expm1(a[0], add, constant)
    if node.op == "trunc":
        return add("Mul", [add("Sign", a, {}), add("Floor", [add("Abs", a, {})], {})], {})
    if node.op == "fmod":
        return add("Mod", a, {"fmod": 1})
    if node.op == "remainder":
        return _remainder(a[0], a[1], add, constant)
    raise ValueError(f"emit: ONNX has no operator for the instruction {node.op!r}")


def _expm1(x: str, add: Add, constant: Callable[[float], str]) -> str:
    """2 sinh(x / 2) exp(x / 2), which keeps its digits near 0."""
    half = add("Mul", [x, constant(0.5)], {})
    both = add("Mul", [add("Sinh", [half], {}), add("Exp", [half], {})], {})
    return add("Mul", [both, constant(2.0)], {})


def _remainder(x: str, y: str, add: Add, constant: Callable[[float], str]) -> str:
    """The remainder with the divisor's sign, from the one with the dividend's."""
    zero = constant(0.0)
    r = add("Mod", [x, y], {"fmod": 1})
    apart = add("Xor", [add("Less", [r, zero], {}), add("Less", [y, zero], {})], {})
    wrong = add("And", [apart, add("Not", [add("Equal", [r, zero], {})], {})], {})
    return add("Where", [wrong, add("Add", [r, y], {}), r], {})
