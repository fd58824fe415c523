"""A cell again from its program: what runs where only the program came along, as in an exported graph."""

from collections.abc import Callable
from functools import lru_cache

from torch import Tensor

from karussell.cells import Cell, Stage
from karussell.program.interpret import interpret
from karussell.program.program import Program, StageProgram


@lru_cache(maxsize=256)
def cell_of(p: Program) -> Cell:
    """The dense cell that computes what the program says: one R a stage, no blocks, no heads, no mask."""
    names = (*p.states, *p.states, *p.between, *p.fixed)
    return Cell(
        p.name,
        state=p.states,
        stages=tuple(_stage(p, s, names) for s in p.stages),
        units=dict.fromkeys(p.units, 0.0),
        constants=dict.fromkeys(p.constants, 0.0),
        inputs=p.inputs,
    )


def _stage(p: Program, s: StageProgram, names: tuple[str, ...]) -> Stage:
    gates = {a if a in p.gates else a[:-2] for a in s.arrivals}
    return Stage(
        gates=tuple(g for g in p.gates if g in gates),
        step=_step(s),
        writes=tuple(names[v] for v in s.writes),
        sees=tuple(names[v] for v in s.sees),
        input=s.fed,
        split=tuple(g for g in p.split if g in gates),
        takes=(*s.arrivals, *(names[v] for v in s.takes)),
    )


def _step(s: StageProgram) -> Callable[..., tuple[Tensor, ...]]:
    labels = (*(f"z{k}" for k in range(len(s.arrivals))), *(f"v{v}" for v in s.takes))
    nodes, outputs = s.forward.nodes, s.forward.outputs[: len(s.writes)]

    def step(*args: Tensor) -> tuple[Tensor, ...]:
        return tuple(interpret(nodes, outputs, dict(zip(labels, args, strict=True))))

    return step
