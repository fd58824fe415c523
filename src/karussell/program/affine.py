"""Programs that are affine in their state: the proof, from the instructions alone, and the two lists it gives.

A state s that a step carries is affine where, instruction by instruction, its new value is

    s_t = a_t s_(t-1) + b_t

and neither a_t nor b_t depends on s_(t-1), or on any state that is not itself carried on by such a line before. No
matrix may multiply a state. Then the whole course of s follows from those of a and b by a scan (Blelloch 1990), and the
states that nothing reads back are functions of what is then known.
"""

from dataclasses import dataclass
from functools import lru_cache

from karussell.errors import KarussellError
from karussell.program.graph import Graph, Node, needed
from karussell.program.program import Program


class NotAffineError(KarussellError):
    """A program that no scan can run; the sentence names the state and what is done to it."""


@dataclass(frozen=True)
class Line:
    """A carried state by its number, and the instructions that give its a and its b."""

    state: int
    a: int
    b: int


@dataclass(frozen=True)
class Affine:
    """The proof.

    nodes   all stages in one list; inputs are named by arrival, and v<value> for old states and fixed values
    lines   the carried states in the order in which their courses can be had: later ones may read earlier ones
    new     for every state, the instruction of its new value
    """

    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]
    new: tuple[int, ...]


@lru_cache(maxsize=256)
def affine(p: Program) -> Affine:
    """Prove a program affine; NotAffineError says where it is not."""
    for s in p.stages:
        if s.sees:
            raise NotAffineError(f"{p.name} multiplies a state by a matrix, so its gates see the past")
    graph, new = _joined(p)
    read = {k for n in new for k in _reads(graph, n, p)}
    open_, lines, reasons = sorted(read), [], {}
    while open_:
        for state in open_:
            try:
                lines.append(_line(graph, p, new[state], state, open_))
            except NotAffineError as error:
                reasons[state] = error
            else:
                open_.remove(state)
                break
        else:
            raise reasons[open_[0]]
    return Affine(tuple(graph.nodes), tuple(lines), tuple(new))


def _joined(p: Program) -> tuple[Graph, list[int]]:
    """All stages in one graph, and the node of every state's new value."""
    graph, known = Graph(), dict[int, int]()
    for s in p.stages:
        labels = {f"z{k}": name for k, name in enumerate(s.arrivals)}
        place: list[int] = []
        for node in s.forward.nodes:
            if node.op == "constant":
                place.append(graph.constant(node.value))
            elif node.op != "input":
                place.append(graph.add(node.op, *(place[a] for a in node.args)))
            elif node.name in labels:
                place.append(graph.input(labels[node.name]))
            else:
                value = int(node.name[1:])
                place.append(known[value] if value in known else graph.input(node.name))
        known |= {v: place[o] for v, o in zip(s.writes, s.forward.outputs, strict=False)}
    count = len(p.states)
    return graph, [known[count + s] for s in range(count)]


def _reads(graph: Graph, node: int, p: Program) -> set[int]:
    """The old states that a node depends on."""
    names = {graph.nodes[k].name for k in needed(graph.nodes, [node]) if graph.nodes[k].op == "input"}
    return {s for s in range(len(p.states)) if f"v{s}" in names}


def _line(graph: Graph, p: Program, new: int, state: int, open_: list[int]) -> Line:
    a, b = _Split(graph, p, state).of(new)
    a = graph.constant(0.0) if a is None else a
    for other in open_:
        for node, what in ((a, "factor"), (b, "summand")):
            if other in _reads(graph, node, p):
                raise NotAffineError(
                    f"the {what} of {p.name}'s state {p.states[state]!r} depends on the state {p.states[other]!r} "
                    "before the step"
                )
    return Line(state, a, b)


class _Split:
    """Takes nodes apart into a, or None for zero, and b: node = a * old + b."""

    def __init__(self, graph: Graph, p: Program, state: int) -> None:
        self.graph, self.state, self.found = graph, state, dict[int, tuple[int | None, int]]()
        self.where = f"{p.name}'s new state {p.states[state]!r}"

    def of(self, node: int) -> tuple[int | None, int]:
        for k in sorted(needed(self.graph.nodes, [node])):
            if k not in self.found:
                self.found[k] = self._one(k)
        return self.found[node]

    def _one(self, k: int) -> tuple[int | None, int]:
        node, add = self.graph.nodes[k], self.graph.add
        if node.op == "input" and node.name == f"v{self.state}":
            return self.graph.constant(1.0), self.graph.constant(0.0)
        parts = [self.found[arg] for arg in node.args]
        if all(a is None for a, _ in parts):
            return None, k
        (a, b), *rest = parts
        if node.op == "neg" and a is not None:
            return add("neg", a), add("neg", b)
        if node.op in ("add", "sub"):
            return self._sum(node.op, a, rest[0][0]), add(node.op, b, rest[0][1])
        if node.op == "mul" and (a is None) != (rest[0][0] is None):
            # the other side is free of the state
            (a, b), free = (rest[0], b) if a is None else ((a, b), rest[0][1])
            assert a is not None
            return add("mul", a, free), add("mul", b, free)
        if node.op == "div" and a is not None and rest[0][0] is None:
            return add("div", a, rest[0][1]), add("div", b, rest[0][1])
        if node.op == "where" and a is None:
            (a1, b1), (a2, b2) = rest
            zero = self.graph.constant(0.0)
            yes, no = (zero if v is None else v for v in (a1, a2))
            return add("where", b, yes, no), add("where", b, b1, b2)
        raise NotAffineError(f"{self.where} goes through {node.op!r} of what it was")

    def _sum(self, op: str, a: int | None, c: int | None) -> int | None:
        if a is None or c is None:
            return (self.graph.add("neg", c) if op == "sub" else c) if a is None and c is not None else a
        return self.graph.add(op, a, c)
