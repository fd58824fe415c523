"""Print a program's instructions as the body of a Triton function: tiles of float32 numbers, one line an instruction.

What is costly or rare is a function of karussell.ops.recurrence.triton.functions, which the printed text imports.
"""

from collections.abc import Mapping, Sequence

from karussell.program.graph import Node
from karussell.program.program import Instructions

_INFIX = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==",
    "ne": "!=", "and": "&", "or": "|",
}  # fmt: skip
_OWN = {"exp", "log", "sqrt", "rsqrt", "sin", "cos", "erf", "floor", "ceil", "abs"}
FUNCTIONS = (
    "sigmoid", "tanh", "log1p", "expm1", "trunc", "round", "sign", "atan", "asin", "acos", "sinh", "cosh", "pow",
    "fmod", "remainder", "maximum", "minimum",
)  # fmt: skip
"""Operations that Triton's own language lacks, under the names `<op>_` of the functions."""


def instructions(code: Instructions, inputs: Mapping[str, str], results: Sequence[str]) -> list[str]:
    """The lines that compute `results`, names for the list's outputs, from `inputs`, expressions by input name.

    Where the lines stand, tiles are [BB, UB] and `zero` is a tile of one zero.
    """
    lines, values = [], []
    for k, node in enumerate(code.nodes):
        if node.op == "input":
            values.append(inputs[node.name])
        elif node.op == "constant":
            values.append(_literal(node.value))
        else:
            values.append(f"i{k}")
            lines.append(f"i{k} = {_expression(node, [values[a] for a in node.args], code.nodes)}")
    named = zip(results, code.outputs, strict=True)
    # a constant or a row of unit vectors becomes a whole tile
    return [*lines, *(f"{n} = tl.broadcast_to({_tile(values[o], code.nodes[o])}, [BB, UB])" for n, o in named)]


def _expression(node: Node, args: list[str], nodes: Sequence[Node]) -> str:
    if node.op in _INFIX:
        return f"{args[0]} {_INFIX[node.op]} {args[1]}"
    if node.op == "neg":
        return f"-{args[0]}"
    if node.op == "not":
        return f"{args[0]} == 0"
    if node.op == "reciprocal":
        return f"1.0 / {args[0]}"
    if node.op == "where":
        return f"tl.where({', '.join(args)})"
    tiles = ", ".join(_tile(a, nodes[k]) for a, k in zip(args, node.args, strict=True))
    return f"tl.{node.op}({tiles})" if node.op in _OWN else f"{node.op}_({tiles})"


def _tile(value: str, node: Node) -> str:
    return f"(zero + {value})" if node.op == "constant" else value


def _literal(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        return f'float("{value}")'
    return repr(value) if value >= 0 and str(value) != "-0.0" else f"({value!r})"
