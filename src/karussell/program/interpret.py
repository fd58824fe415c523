"""Run an instruction list with torch: the check that a trace says what its step says."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from karussell.program.graph import Node

OPERATIONS: Mapping[str, Callable[..., Tensor]] = {
    **{
        name: getattr(torch, name)
        for name in (
            "add",
            "sub",
            "mul",
            "div",
            "neg",
            "abs",
            "exp",
            "log",
            "log1p",
            "expm1",
            "sqrt",
            "rsqrt",
            "reciprocal",
            "tanh",
            "sigmoid",
            "sin",
            "cos",
            "erf",
            "floor",
            "ceil",
            "round",
            "trunc",
            "sign",
            "atan",
            "asin",
            "acos",
            "sinh",
            "cosh",
            "pow",
            "maximum",
            "minimum",
            "fmod",
            "remainder",
            "lt",
            "le",
            "gt",
            "ge",
            "eq",
            "ne",
            "where",
        )
    },
    "and": torch.logical_and,
    "or": torch.logical_or,
    "not": torch.logical_not,
}


def interpret(nodes: Sequence[Node], outputs: Sequence[int], inputs: Mapping[str, Tensor]) -> list[Tensor]:
    """The values of `outputs`; every input has the same shape."""
    like = next(iter(inputs.values()))
    values: list[Tensor] = []
    for node in nodes:
        if node.op == "input":
            values.append(inputs[node.name])
        elif node.op == "constant":
            values.append(torch.full_like(like, node.value))
        else:
            values.append(OPERATIONS[node.op](*(values[a] for a in node.args)))
    return [values[o] for o in outputs]
