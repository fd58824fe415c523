"""What of a call decides the text of its kernels, and where things lie in their memory.

resident   one program has a few rows and all units, and runs over all steps; products are made of tiles in registers
spread     several programs share rows and divide units; what products read goes through memory, with a barrier of
           the whole device after every stage
stepwise   torch makes the products of a step, one kernel a stage the rest; the floor that runs at any size
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from karussell.program import Program
from karussell.program.emit_cpp import gate
from karussell.program.program import StageProgram

Kind = Literal["resident", "spread", "stepwise"]


class Plan(NamedTuple):
    """The variant of a program's kernels.

    kind       the schedule;  tiles: into how many the columns of R fall whose tiles stay in registers, 0: loaded anew
    zone       states with zoneout;  clip: with limits;  fresh: those whose value before either is kept
    drop, gal  recurrent dropout on the candidate, on what R sees
    wide       by per-step input given: a value a unit
    shown      values whose course is written;  keep: and the stored values
    flows      states into whose course gradients flow
    """

    kind: Kind
    tiles: int
    ragged: bool = False
    resets: bool = False
    training: bool = False
    zone: tuple[int, ...] = ()
    clip: tuple[int, ...] = ()
    fresh: tuple[int, ...] = ()
    drop: bool = False
    gal: bool = False
    normed: bool = False
    bias: bool = False
    wide: tuple[bool, ...] = ()
    shown: tuple[int, ...] = ()
    keep: bool = False
    flows: tuple[int, ...] = ()


class Edge(NamedTuple):
    """One value that a stage's R sees: the stage, the place among those it sees, the value."""

    stage: int
    place: int
    value: int


def edges(p: Program) -> list[Edge]:
    """All of them, stage after stage."""
    return [Edge(k, i, v) for k, s in enumerate(p.stages) for i, v in enumerate(s.sees)]


def products(s: StageProgram) -> int:
    """How many arrivals of a stage R feeds."""
    return len(s.arrivals) - s.alone if s.sees else 0


def first_arrival(p: Program, k: int) -> int:
    """The number of a stage's first arrival among all."""
    return sum(len(s.arrivals) for s in p.stages[:k])


def first_product(p: Program, k: int) -> int:
    """The number of a stage's first product among all."""
    return sum(products(s) for s in p.stages[:k])


def first_saved(p: Program, k: int) -> int:
    """The number of a stage's first stored value among all."""
    return sum(s.saved for s in p.stages[:k])


def fed(p: Program) -> list[str]:
    """The arrivals that x feeds, in the program's order: the columns of the input products."""
    return [a for s in p.stages if s.fed for a in s.arrivals[: s.alone + s.joined]]


def fed_rows(p: Program) -> list[int]:
    """For each of them, its gate's place in W."""
    return [p.fed.index(gate(p, a)) for a in fed(p)]


def product_rows(p: Program, s: StageProgram) -> list[int]:
    """For each product of a stage, its gate's place in the stage's R."""
    mine = {gate(p, a) for a in s.arrivals}
    gates = [g for g in p.gates if g in mine]
    return [gates.index(gate(p, a)) for a in s.arrivals[s.alone :]]


def slots(p: Program, backward: bool) -> list[str]:
    """The numbers a row and unit has in the scratch memory [D, slots, B, H]; some are a call's results.

    forward   s: states, m: values between stages
    backward  c: gradients of states, k: of states as the step made them, o: of states before the step, m: of values
              between stages, t: of starts, a: of unit vectors, q: of gains
    """
    between = [f"m{2 * len(p.states) + k}" for k in range(len(p.between))]
    count: Sequence[int] = range(len(p.states))
    if not backward:
        return [*(f"s{i}" for i in count), *between]
    several = [f"{kind}{i}" for kind in "ckot" for i in count]
    units = [f"a{p.first_fixed + k}" for k in range(len(p.units))]
    return [*several, *between, *units, *(f"q{k}" for k in range(first_product(p, len(p.stages))))]


def key_names(p: Program, plan: Plan) -> list[str]:
    """What each 64-bit key of masks is for: zoneout of a state, what a stage's R sees, the candidate."""
    names = [f"zone{i}" for i in plan.zone] if plan.training else []
    names += [f"gal{k}" for k, s in enumerate(p.stages) if s.sees] if plan.gal else []
    return [*names, *(["drop"] if plan.drop else [])]
