"""A cell's program: canonical, hashable, serialisable; what engines receive.

Values are numbered: the states before the step, the states after it, values that pass between stages, unit vectors,
constants and per-step inputs. A state that an early stage writes and a later one writes again is, between the two, a
value between stages.

Arrivals are the pre-activations in the order engines lay them out: per stage, input parts of split gates (and all
gates of a stage that sees nothing), then sums, then recurrent parts alone. So the gradients that input weights need
and those that recurrent weights need are one stretch of columns each.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from karussell.cells.cell import Cell, Stage
from karussell.program.division import divide
from karussell.program.graph import Node, canonical, compact
from karussell.program.interpret import interpret
from karussell.program.trace import TraceError, trace


@dataclass(frozen=True)
class Instructions:
    """A list of nodes and which of them are the results."""

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class StageProgram:
    """One stage. Inputs of `forward` are named z0.. (arrivals) and v<value>; results are the writes, then the saved
    values. Inputs of `backward` are s0.. (saved), v<value> and d0.. (gradients of the writes); results are the
    gradients of the arrivals, of `d_takes` and of `d_units`."""

    arrivals: tuple[str, ...]
    alone: int
    joined: int
    fed: bool
    takes: tuple[int, ...]
    sees: tuple[int, ...]
    writes: tuple[int, ...]
    saved: int
    forward: Instructions
    backward: Instructions
    needs: tuple[int, ...]
    d_takes: tuple[int, ...]
    d_units: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """All stages, and the names and numbers of the values.

    name      the cell's
    gates     parameter order; `fed` those with an input part; `split` those with a recurrent bias
    states, between, units (learned), constants, inputs   names, numbered in this order, states twice
    """

    name: str
    gates: tuple[str, ...]
    fed: tuple[str, ...]
    split: tuple[str, ...]
    states: tuple[str, ...]
    between: tuple[str, ...]
    units: tuple[str, ...]
    constants: tuple[str, ...]
    inputs: tuple[str, ...]
    stages: tuple[StageProgram, ...]

    @cached_property
    def fixed(self) -> tuple[str, ...]:
        """Values that no stage writes: unit vectors, constants, per-step inputs."""
        return self.units + self.constants + self.inputs

    @cached_property
    def first_fixed(self) -> int:
        """The number of the first of them."""
        return 2 * len(self.states) + len(self.between)

    @cached_property
    def arrivals(self) -> tuple[str, ...]:
        """All arrivals in order."""
        return tuple(a for s in self.stages for a in s.arrivals)

    @property
    def saved(self) -> int:
        """How many values a unit and step stores for the backward pass."""
        return sum(s.saved for s in self.stages)

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """Where each stage begins in the rows that hold its stored values and, later, the gradients of its arrivals.

        Both share the memory: a stage's gradients overwrite its own stored values and nobody else's.
        """
        starts = [0]
        for s in self.stages:
            starts.append(starts[-1] + max(s.saved, len(s.arrivals)))
        return tuple(starts[:-1])

    @cached_property
    def seeing(self) -> int:
        """How many stages have a recurrent matrix."""
        return sum(bool(s.sees) for s in self.stages)

    @cached_property
    def width(self) -> int:
        """How many numbers a unit has in such a row."""
        return sum(max(s.saved, len(s.arrivals)) for s in self.stages)

    @cached_property
    def history(self) -> tuple[int, ...]:
        """Values whose course the backward pass reads: elementwise, or as what a recurrent matrix multiplied."""
        count = len(self.states)
        read = {v for s in self.stages for v in (*s.needs, *s.sees) if v < self.first_fixed}
        return tuple(sorted({v if v >= count else v + count for v in read}))

    @cached_property
    def json(self) -> str:
        """The canonical text."""
        return json.dumps(asdict(self), separators=(",", ":"))

    def __hash__(self) -> int:
        # a text remembers its hash, and every call of an engine asks for it
        return hash(self.json)

    @cached_property
    def digest(self) -> str:
        """The hash under which compiled engines are kept. The cell's name is no part of it."""
        text = json.dumps({**asdict(self), "name": ""}, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    @classmethod
    def from_json(cls, text: str) -> "Program":
        """The program that `json` describes."""
        return _program_from(json.loads(text))


@lru_cache(maxsize=256)
def program(cell: Cell) -> Program:
    """Trace a cell. Raises TraceError where a step is no elementwise program."""
    fixed = (*cell.units, *cell.constants, *cell.inputs)
    all_stages = _finished_together(cell)
    last = {name: k for k, stage in enumerate(all_stages) for name in stage.writes}
    unwritten = [n for n in cell.state if n not in last]
    if unwritten:
        raise TraceError(f"cell {cell.name}: no stage writes the state {unwritten[0]!r}")
    between = [
        f"{n}.{k}" for k, stage in enumerate(all_stages) for n in stage.writes if not (n in cell.state and last[n] == k)
    ]
    count = len(cell.state)
    number = {f"{n}.{last[n]}": count + s for s, n in enumerate(cell.state)}
    number |= {n: 2 * count + k for k, n in enumerate(between)}
    current = {n: s for s, n in enumerate(cell.state)}
    current |= {n: 2 * count + len(between) + k for k, n in enumerate(fixed)}
    stages = []
    for k, stage in enumerate(all_stages):
        writes = {n: number[f"{n}.{k}"] for n in stage.writes}
        stages.append(_stage(cell, stage, current, writes, len(between)))
        current |= writes
    return Program(
        name=cell.name,
        gates=cell.gates,
        fed=cell.fed,
        split=cell.split_gates,
        states=cell.state,
        between=tuple(between),
        units=tuple(cell.units),
        constants=tuple(cell.constants),
        inputs=cell.inputs,
        stages=tuple(stages),
    )


def _finished_together(cell: Cell) -> tuple[Stage, ...]:
    """The stages, rewritten so that a new state that a later stage takes or sees is handed on by the last one.

    So every value that is read within the step passes between stages, and states are final when the step is.
    """
    stages = list(cell.stages)
    end = len(stages) - 1
    last = {name: k for k, stage in enumerate(stages) for name in stage.writes if name in cell.state}
    early = [n for n, k in last.items() if any(n in (*s.takes, *(s.sees or ())) for s in stages[k + 1 :])]
    early = [n for n in early if last[n] < end]
    if not early:
        return cell.stages
    final = stages[end]
    extra = tuple(n for n in early if n not in final.takes)
    inner, taken, written = final.step, len(final.takes), len(final.writes)

    def step(*args: Tensor) -> tuple[Tensor, ...]:
        values = inner(*args[:taken])
        values = values if isinstance(values, tuple) else (values,)
        named = dict(zip((*final.takes, *extra), args, strict=True))
        return (*values[:written], *(named[n] for n in early))

    stages[end] = replace(final, step=step, takes=(*final.takes, *extra), writes=(*final.writes, *early))
    return tuple(stages)


def _stage(
    cell: Cell, stage: Stage, current: Mapping[str, int], writes: Mapping[str, int], between: int
) -> StageProgram:
    where = f"cell {cell.name}"
    if not stage.input and not stage.sees:
        raise TraceError(f"{where}: the stage with gates {stage.gates} has neither an input nor a recurrent part")
    graph, values, gradients = trace(stage.step, stage.takes, len(stage.writes), where)
    _compare(stage, graph.nodes, values, where)
    split, whole = stage.split, tuple(q for q in stage.gates if q not in stage.split)
    alone = tuple(f"{q}_x" for q in split) if stage.sees else whole
    joined = whole if stage.sees and stage.input else ()
    recurrent = tuple(f"{q}_r" for q in split) if stage.input else whole
    arrivals = (*alone, *joined, *(recurrent if stage.sees else ()))
    arguments = {n: k for k, n in enumerate(stage.takes)}
    takes = tuple(current[n] for n in stage.takes if n not in arrivals)
    label = {n: f"z{arrivals.index(n)}" if n in arrivals else f"v{current[n]}" for n in stage.takes}
    zero = graph.constant(0.0)
    named = [node._replace(name=label.get(node.name, node.name)) for node in graph.nodes]
    nodes, ends = canonical(named, (*values, *gradients, zero))
    values, gradients, zero = ends[: len(values)], ends[len(values) : -1], ends[-1]
    first_fixed = 2 * len(cell.state) + between
    at_hand = {v: f"v{writes[n]}" for v, n in zip(values, stage.writes, strict=True)}
    at_hand |= {k: n.name for k, n in enumerate(nodes) if n.op == "input" and n.name[0] == "v"}
    d_takes = tuple(v for v in takes if v < first_fixed)
    learned = range(first_fixed, first_fixed + len(cell.units))
    d_units = tuple(v for v in takes if v in learned)
    by_value = {current[n]: gradients[k] for n, k in arguments.items() if n not in arrivals}
    wanted = [gradients[arguments[a]] if a in arguments else zero for a in arrivals]
    wanted += [by_value[v] for v in (*d_takes, *d_units)]
    division = divide(nodes, values, wanted, at_hand)
    names = {k: f"s{i}" for i, k in enumerate(division.saved)} | dict(division.at_hand)
    return StageProgram(
        arrivals=arrivals,
        alone=len(alone),
        joined=len(joined),
        fed=stage.input,
        takes=tuple(dict.fromkeys(takes)),
        sees=tuple(current[n] for n in stage.sees or ()),
        writes=tuple(writes.values()),
        saved=len(division.saved),
        forward=Instructions(*compact(nodes, (*values, *division.saved))),
        backward=Instructions(*compact(_cut(nodes, names), wanted)),
        needs=tuple(sorted({int(n[1:]) for n in division.at_hand.values()})),
        d_takes=d_takes,
        d_units=d_units,
    )


def _cut(nodes: list[Node], names: Mapping[int, str]) -> list[Node]:
    """The list with some nodes replaced by inputs."""
    return [Node("input", name=names[k]) if k in names else node for k, node in enumerate(nodes)]


def _compare(stage: Stage, nodes: list[Node], values: list[int], where: str) -> None:
    """Refuse a trace that does not say what the step says for several units: such a step mixes them."""
    units = torch.linspace(-0.9, 1.1, 7, dtype=torch.float64)
    inputs = {n: units.roll(k) * (1 + 0.1 * k) for k, n in enumerate(stage.takes)}
    mixed = TraceError(
        f"{where}: its step mixes units (a softmax or a sum over them, say), so it cannot be compiled unit "
        "by unit. Force engine='reference', which runs any step"
    )
    try:
        expected = stage.step(*inputs.values())
    except Exception as error:
        raise mixed from error
    expected = expected if isinstance(expected, tuple) else (expected,)
    for got, want in zip(interpret(*compact(nodes, values), inputs), expected, strict=True):
        if want.dtype != got.dtype:
            raise TraceError(f"{where}: its step turns {got.dtype} into {want.dtype}; let it keep the dtype given")
        if want.shape != got.shape or not torch.allclose(got, want, rtol=1e-9, atol=1e-12, equal_nan=True):
            raise mixed


def _program_from(data: dict[str, Any]) -> Program:
    def tupled(value: Any) -> Any:
        return tuple(map(tupled, value)) if isinstance(value, list) else value

    def instructions(value: dict) -> Instructions:
        nodes = tuple(Node(op, tuple(args), name, number) for op, args, name, number in value["nodes"])
        return Instructions(nodes, tuple(value["outputs"]))

    def stage(value: dict[str, Any]) -> StageProgram:
        fields: dict[str, Any] = {k: instructions(v) if isinstance(v, dict) else tupled(v) for k, v in value.items()}
        return StageProgram(**fields)

    stages = tuple(map(stage, data["stages"]))
    return Program(**{k: tupled(v) for k, v in data.items() if k != "stages"}, stages=stages)
