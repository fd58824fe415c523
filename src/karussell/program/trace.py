"""From a step in Python to scalar instructions: values and the vector-Jacobian product, traced on 0-d tensors."""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._decomp import core_aten_decompositions, get_decompositions
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from karussell.errors import KarussellError
from karussell.program.graph import Graph

# make_fx is not safe in two threads at once
_LOCK = threading.RLock()


class TraceError(KarussellError):
    """A step that is no elementwise program; the sentence names the operation and the way out."""


_UNARY = {
    "neg", "abs", "exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "reciprocal", "tanh", "sigmoid", "sin", "cos",
    "erf", "floor", "ceil", "round", "trunc", "sign", "atan", "asin", "acos", "sinh", "cosh",
}  # fmt: skip
_BINARY = {"mul", "div", "pow", "maximum", "minimum", "fmod", "remainder", "lt", "le", "gt", "ge", "eq", "ne"}
_LOGIC = {
    "logical_and": "and", "bitwise_and": "and", "logical_or": "or", "bitwise_or": "or", "logical_xor": "xor",
    "bitwise_xor": "xor",
}  # fmt: skip
_NOT = {"logical_not", "bitwise_not"}
_SAME = {"detach", "alias", "clone", "lift_fresh_copy", "lift_fresh", "expand", "view", "_unsafe_view", "squeeze"}
_FILL = {
    "zeros_like": 0.0, "zeros": 0.0, "new_zeros": 0.0, "ones_like": 1.0, "ones": 1.0, "new_ones": 1.0,
    "_efficientzerotensor": 0.0,
    # memory that torch's own derivatives ask for and then fill; whoever reads it as it is reads nonsense
    "empty": math.nan, "empty_like": math.nan, "empty_permuted": math.nan, "empty_strided": math.nan,
    "new_empty": math.nan,
}  # fmt: skip
_FULL = {"full_like": 1, "full": 1, "new_full": 2, "scalar_tensor": 0}

_BACKWARD = [
    "sigmoid_backward", "tanh_backward", "threshold_backward", "silu", "silu_backward", "gelu", "gelu_backward",
    "softplus", "softplus_backward", "log_sigmoid_forward", "log_sigmoid_backward", "hardtanh", "hardtanh_backward",
    "hardsigmoid", "hardsigmoid_backward", "hardswish", "hardswish_backward", "elu", "elu_backward", "leaky_relu",
    "leaky_relu_backward", "mish", "mish_backward", "clamp", "addcmul", "addcdiv", "lerp", "rsub", "logit_backward",
]  # fmt: skip


def trace(
    step: Callable[..., Tensor | tuple[Tensor, ...]], takes: Sequence[str], writes: int, where: str
) -> tuple[Graph, list[int], list[int]]:
    """Trace a step: the graph, the nodes of what it returns, and those of the gradients of its arguments.

    Inputs are named by `takes`; the gradients of the results come in as d0, d1, ... `where` names the cell in errors.
    """

    def joint(*args: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        def values(*given: Tensor) -> tuple[Tensor, ...]:
            result = step(*given)
            return result if isinstance(result, tuple) else (result,)

        result, pull = torch.func.vjp(values, *args[: len(takes)])[:2]
        if len(result) != writes:
            raise TraceError(f"{where}: its step returns {len(result)} values, but {writes} are declared")
        for value in result:
            if value.shape:
                raise _held(where, value)
        # a value that is a plain number in disguise has no gradient to pull through
        return result, pull(tuple(args[len(takes) :]))

    names = [*takes, *(f"d{k}" for k in range(writes))]
    # distinct numbers that no comparison in a sensible cell makes special
    examples = [torch.tensor(0.1 + 0.0371 * k, dtype=torch.float64) for k in range(len(names))]
    with _LOCK:
        table = {**core_aten_decompositions(), **get_decompositions(_packets())}
        try:
            module = make_fx(torch.func.functionalize(joint), decomposition_table=table)(*examples)
        except TraceError:
            raise
        except RuntimeError as error:
            if "data-dependent" in str(error) or "bool(" in str(error) or "vmap" in str(error):
                raise _branch(where) from error
            raise _untraced(where, error) from error
        except Exception as error:
            # whatever a step does that no single number allows, such as naming a dimension
            raise _untraced(where, error) from error
    return _read(module, names, writes, where)


def _packets() -> list[Any]:
    return [getattr(torch.ops.aten, name) for name in _BACKWARD if hasattr(torch.ops.aten, name)]


def _branch(where: str) -> TraceError:
    return TraceError(
        f"{where}: its step looks at the number inside a tensor (an `if`, `bool()`, `float()` or `.item()`), "
        "which differs from unit to unit. Use torch.where(condition, a, b) instead"
    )


def _untraced(where: str, error: Exception) -> TraceError:
    return TraceError(
        f"{where}: its step could not be traced on the numbers of one unit: {error}. "
        "Force engine='reference', which runs any step"
    )


def _held(where: str, value: Tensor) -> TraceError:
    return TraceError(
        f"{where}: for one unit, its step makes a tensor {list(value.shape)}. Does it hold a vector of its own? Name "
        "that among the cell's `units` (learned) or `constants`, and let the step take it as an argument"
    )


def _read(module: GraphModule, names: Sequence[str], writes: int, where: str) -> tuple[Graph, list[int], list[int]]:
    graph, known = Graph(), {}
    inputs = iter(names)
    outputs: list[int] = []
    for node in module.graph.nodes:
        if node.op == "placeholder":
            known[node] = graph.input(next(inputs))
        elif node.op == "get_attr":
            held = getattr(module, node.target)
            if held.numel() != 1:
                raise _held(where, held)
            known[node] = graph.constant(held.item())
        elif node.op == "call_function":
            known[node] = _call(graph, node, known, where)
        elif node.op == "output":
            flat = torch.utils._pytree.tree_leaves(node.args[0])
            outputs = [known[v] if v in known else graph.constant(0.0) for v in flat]
    return graph, outputs[:writes], outputs[writes:]


def _call(graph: Graph, node: Any, known: dict, where: str) -> int:
    name = node.target.__name__.split(".")[0]

    def operand(value: Any) -> int:
        return known[value] if value in known else graph.constant(value)

    def number(index: int) -> int:
        # a condition used in arithmetic counts as 1 or 0
        if graph.is_mask(index):
            return graph.add("where", index, graph.constant(1.0), graph.constant(0.0))
        return index

    def truth(index: int) -> int:
        return index if graph.is_mask(index) else graph.add("ne", index, graph.constant(0.0))

    args = node.args
    if name in _UNARY:
        return graph.add(name, number(operand(args[0])))
    if name in ("add", "sub"):
        second = number(operand(args[1]))
        if node.kwargs.get("alpha", 1) != 1:
            second = graph.add("mul", second, graph.constant(node.kwargs["alpha"]))
        return graph.add(name, number(operand(args[0])), second)
    if name == "rsub":
        return graph.add("sub", number(operand(args[1])), number(operand(args[0])))
    if name == "relu":
        return graph.add("maximum", number(operand(args[0])), graph.constant(0.0))
    if name in _BINARY:
        return _binary(graph, name, number(operand(args[0])), number(operand(args[1])), node.kwargs)
    if name in _LOGIC:
        a, b = truth(operand(args[0])), truth(operand(args[1]))
        if _LOGIC[name] == "xor":
            return graph.add("ne", number(a), number(b))
        return graph.add(_LOGIC[name], a, b)
    if name in _NOT:
        return graph.add("not", truth(operand(args[0])))
    if name == "isnan":
        value = number(operand(args[0]))
        return graph.add("ne", value, value)
    if name == "isinf":
        return graph.add("eq", graph.add("abs", number(operand(args[0]))), graph.constant(math.inf))
    if name == "where":
        return graph.add("where", truth(operand(args[0])), number(operand(args[1])), number(operand(args[2])))
    if name in ("clamp", "clamp_min", "clamp_max"):
        return _clamp(graph, name, number(operand(args[0])), list(args[1:]), operand)
    if name in _SAME:
        return operand(args[0])
    if name == "copy":
        return operand(args[1])
    if name == "_to_copy":
        value, dtype = operand(args[0]), node.kwargs.get("dtype")
        if dtype is not None and dtype is not torch.bool and not dtype.is_floating_point:
            raise TraceError(f"{where}: its step converts to {dtype}. Use torch.trunc, which leaves the number a float")
        return truth(value) if dtype is torch.bool else number(value)
    if name in _FILL:
        return graph.constant(_FILL[name])
    if name in _FULL:
        return graph.constant(float(args[_FULL[name]]))
    if name in ("_local_scalar_dense", "item"):
        raise _branch(where)
    raise TraceError(
        f"{where}: its step uses aten.{name}, which is not elementwise arithmetic that can be compiled. "
        "Write it with elementwise torch functions, or force engine='reference', which runs any step"
    )


def _binary(graph: Graph, name: str, a: int, b: int, options: Mapping[str, Any]) -> int:
    rounding = options.get("rounding_mode")
    if rounding == "floor":
        # the quotient of what divides without remainder, so that 1 // 0.1 is 9 as in Python
        whole = graph.add("sub", a, graph.add("remainder", a, b))
        return graph.add("round", graph.add("div", whole, b))
    if rounding == "trunc":
        return graph.add("trunc", graph.add("div", a, b))
    if name == "pow":
        exponent = graph.nodes[b].value if graph.nodes[b].op == "constant" else None
        if exponent == 0.0:
            return graph.constant(1.0)
        if exponent in (1.0, 2.0, 3.0):
            result = a
            for _ in range(int(exponent) - 1):
                result = graph.add("mul", result, a)
            return result
        if exponent == 0.5:
            return graph.add("sqrt", a)
    return graph.add(name, a, b)


def _clamp(graph: Graph, name: str, value: int, bounds: list, operand: Callable[[Any], int]) -> int:
    low = bounds[0] if bounds and name != "clamp_max" else None
    high = bounds[0] if name == "clamp_max" else bounds[1] if len(bounds) > 1 else None
    if low is not None:
        value = graph.add("maximum", value, operand(low))
    if high is not None:
        value = graph.add("minimum", value, operand(high))
    return value
