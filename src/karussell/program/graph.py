"""Scalar instructions: what one unit of a cell computes, as a short list in single-assignment form.

A node is an operation on earlier nodes. Leaves are constants and named inputs. Equal nodes are merged and constants
folded as the list grows, and a finished list is put in one order, so two ways of writing the same arithmetic give the
same list.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Node(NamedTuple):
    """One instruction: `op` on the nodes `args`; leaves carry a name (op "input") or a number (op "constant")."""

    op: str
    args: tuple[int, ...] = ()
    name: str = ""
    value: float = 0.0


MASKS = frozenset({"lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not"})
"""Operations whose result is true or false, not a number."""

COSTLY = frozenset({
    "sigmoid", "tanh", "exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "sin", "cos", "erf", "pow", "atan", "asin",
    "acos", "sinh", "cosh", "remainder", "fmod",
})  # fmt: skip
"""Operations worth a stored value rather than a second computation."""

_COMMUTE = frozenset({"add", "mul", "and", "or", "eq", "ne"})

_FOLD: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b if b else math.nan if a == 0 or a != a else math.copysign(math.inf, a),
    "neg": lambda a: -a,
}


@dataclass
class Graph:
    """A growing list of nodes without duplicates."""

    nodes: list[Node] = field(default_factory=list)
    _index: dict[Node, int] = field(default_factory=dict)

    def input(self, name: str) -> int:
        """The node of a named input."""
        return self._append(Node("input", name=name))

    def constant(self, value: float) -> int:
        """The node of a number."""
        return self._append(Node("constant", value=float(value)))

    def add(self, op: str, *args: int) -> int:
        """The node of an operation, simplified where that changes no number."""
        values = [self.nodes[a].value if self.nodes[a].op == "constant" else None for a in args]
        if op in _FOLD and None not in values:
            return self.constant(_FOLD[op](*values))
        short = _shorter(op, args, values)
        if short is not None:
            return short
        if op == "mul" and -1.0 in values:
            return self.add("neg", args[1 - values.index(-1.0)])
        if op in _COMMUTE and args[0] > args[1]:
            args = (args[1], args[0])
        return self._append(Node(op, tuple(args)))

    def is_mask(self, index: int) -> bool:
        """Whether a node is true or false."""
        return self.nodes[index].op in MASKS

    def _append(self, node: Node) -> int:
        # repr tells -0.0 from 0.0 and makes nan equal to itself
        key = node._replace(value=0.0, name=repr(node.value)) if node.op == "constant" else node
        if key not in self._index:
            self._index[key] = len(self.nodes)
            self.nodes.append(node)
        return self._index[key]


def _shorter(op: str, args: Sequence[int], values: Sequence[float | None]) -> int | None:
    """The operand that an operation with a neutral constant leaves as it is."""
    if op == "add" and 0.0 in values:
        return args[1 - values.index(0.0)]
    if op == "mul" and 1.0 in values:
        return args[1 - values.index(1.0)]
    if (op == "sub" and values[1] == 0.0) or (op == "div" and values[1] == 1.0):
        return args[0]
    return None


def needed(nodes: Sequence[Node], outputs: Iterable[int], stop: Iterable[int] = ()) -> set[int]:
    """The nodes that `outputs` depend on, not looking behind `stop`."""
    halt, found, open_ = set(stop), set(), list(outputs)
    while open_:
        index = open_.pop()
        if index in found:
            continue
        found.add(index)
        if index not in halt:
            open_.extend(nodes[index].args)
    return found


def canonical(nodes: Sequence[Node], outputs: Sequence[int]) -> tuple[list[Node], list[int]]:
    """What `outputs` need, in an order that only the arithmetic decides: depth first, sums and products sorted."""
    prints: list[str] = []
    sides: list[tuple[int, ...]] = []
    for node in nodes:
        args = sorted(node.args, key=lambda a: prints[a]) if node.op in _COMMUTE else node.args
        text = repr((node.op, node.name, node.value, [prints[a] for a in args]))
        prints.append(hashlib.sha256(text.encode()).hexdigest())
        sides.append(tuple(args))
    order: dict[int, int] = {}
    open_ = list(reversed(outputs))
    while open_:
        index = open_[-1]
        missing = [a for a in sides[index] if a not in order]
        if index in order or not missing:
            open_.pop()
            order.setdefault(index, len(order))
        else:
            open_.extend(reversed(missing))
    found = [nodes[k]._replace(args=tuple(order[a] for a in sides[k])) for k in order]
    return found, [order[o] for o in outputs]


def compact(nodes: Sequence[Node], outputs: Sequence[int]) -> tuple[tuple[Node, ...], tuple[int, ...]]:
    """Only what `outputs` need, renumbered."""
    keep = sorted(needed(nodes, outputs))
    new = {old: k for k, old in enumerate(keep)}
    return (
        tuple(nodes[old]._replace(args=tuple(new[a] for a in nodes[old].args)) for old in keep),
        tuple(new[o] for o in outputs),
    )
