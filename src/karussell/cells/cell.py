"""The contract of a recurrent cell: its equations as a value, and nothing about loops, devices or gradients.

A cell is a short program of stages. At every time step, stage after stage, for each gate q of the stage

    z_q = W_q x_t + b_q + sum over s in sees of R_qs s          (W_q x_t only where the stage has an input part)
    values named in `writes` = step(gates, states, ...)         (elementwise, one unit at a time)

`step` takes its arguments by name: the gates of its stage; the states (as the stages before left them); values
that earlier stages wrote; unit vectors; per-step inputs. A value written under a state's name becomes that state,
any other is seen by later stages only. The first state is the output.
"""

import inspect
from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from torch import Tensor

Vector = float | Callable[[int], Tensor]
"""An initial value: one number for every unit, or a function of the number of units that gives them all."""


@dataclass(frozen=True)
class Stage:
    """Products, then elementwise arithmetic.

    gates   names of the pre-activations this stage computes
    step    the elementwise arithmetic; returns the values named in `writes`, in their order
    writes  names of what `step` returns; empty: the cell's states
    sees    states, or values of earlier stages, that the recurrent matrix multiplies; None: the output (first state)
    input   whether W x_t feeds these gates
    split   gates that arrive in two parts, `q_x` = W_q x_t + b_q and `q_r` = R_q s + its own bias
    takes   the names of step's arguments in their order; empty: the names of its parameters
    """

    gates: tuple[str, ...]
    step: Callable[..., Tensor | tuple[Tensor, ...]]
    writes: tuple[str, ...] = ()
    sees: tuple[str, ...] | None = None
    input: bool = True
    split: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Cell:
    """One step of a recurrent net, written once; engines, derivatives, export and streaming are derived from it.

    A cell of one stage names `gates`, `state` and `step` (and `sees`, `split`); a cell of several gives `stages`.

    units      learned per-unit vectors and their initial values, passed to `step` by name (peepholes)
    constants  per-unit vectors that are not learned (clock periods)
    inputs     per-step inputs that are not learned, [T, B] or [T, B, H] (a time gap). A parameter of `step` that has
               a default is an optional one: `drop`, the mask of Semeniuta's recurrent dropout, is 1 unless it is on
    shared     gates, and states that follow from them alone, of which a block of cells has one (memory blocks, 1997)
    block      cells a block
    heads      the recurrent matrix is block-diagonal with this many blocks
    mask       function of the number of units: which recurrent weights exist, [H, H], rows receive
    """

    name: str
    state: tuple[str, ...]
    gates: tuple[str, ...] = ()
    step: Callable[..., Tensor | tuple[Tensor, ...]] | None = None
    sees: tuple[str, ...] | None = None
    split: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()
    units: Mapping[str, Vector] = field(default_factory=dict)
    constants: Mapping[str, Vector] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    block: int = 1
    heads: int = 1
    mask: Callable[[int], Tensor] | None = None

    def __post_init__(self) -> None:
        if (self.step is None) == (not self.stages):
            raise ValueError(f"cell {self.name}: give either `gates` and `step`, or `stages`, not both")
        for gates in (self.gates, *(s.gates for s in self.stages)):
            if not isinstance(gates, tuple):
                raise ValueError(f"cell {self.name}: `gates` is {gates!r}; it must be a tuple of names, such as ('a',)")
        stages = self.stages or (Stage(self.gates, self.step, (), self.sees, True, self.split),)  # type: ignore[arg-type]
        stages = tuple(
            replace(
                s,
                sees=self.state[:1] if s.sees is None else tuple(s.sees),
                writes=tuple(s.writes) or self.state,
                takes=tuple(s.takes) or _required(s.step),
            )
            for s in stages
        )
        object.__setattr__(self, "stages", stages)
        object.__setattr__(self, "gates", tuple(q for s in stages for q in s.gates))
        _check(self)
        # known from the start: torch.compile reads them, but does not enter the lock under which they are made
        for name in ("State", "optional", "fed", "split_gates"):
            getattr(self, name)

    @cached_property
    def key(self) -> tuple:
        """What makes two cells the same: every field, functions by identity."""
        maps = (tuple(self.units.items()), tuple(self.constants.items()))
        return (self.name, self.state, self.stages, maps, self.inputs, self.shared, self.block, self.heads, self.mask)

    @cached_property
    def _hash(self) -> int:
        return hash(self.key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Cell) and self.key == other.key)

    def __deepcopy__(self, memo: dict) -> "Cell":
        # a value, like a number: a copied module shares it
        return self

    @cached_property
    def State(self) -> type:  # noqa: N802 - it is a type
        """The NamedTuple of this cell's states, each [B, width(name)]."""
        return _state_type(self.state)

    @cached_property
    def optional(self) -> tuple[str, ...]:
        """Per-step inputs that may be left out: step's parameters with a default, in order of appearance."""
        return tuple(dict.fromkeys(name for stage in self.stages for name in optional(stage)))

    @cached_property
    def fed(self) -> tuple[str, ...]:
        """Gates that have an input part, in order: the rows of W."""
        return tuple(q for s in self.stages if s.input for q in s.gates)

    @cached_property
    def split_gates(self) -> tuple[str, ...]:
        """Gates whose recurrent part has a bias of its own, in order."""
        return tuple(q for s in self.stages for q in s.split)

    def width(self, name: str, hidden: int) -> int:
        """Units of a gate or state: one a block where it is shared, else one a cell."""
        return hidden // self.block if name in self.shared else hidden

    def with_blocks(self, size: int) -> "Cell":
        """The same cell in memory blocks of `size` cells that share their gates (Hochreiter & Schmidhuber 1997)."""
        if size > 1 and not self.shared:
            raise ValueError(
                f"cell {self.name}: its gates belong to single cells, so it has no blocks of {size}. "
                "Cells that declare `shared` gates do, such as LSTM and LSTM1997"
            )
        return replace(self, **_source(self), block=size)

    def with_heads(self, count: int) -> "Cell":
        """The same cell with a block-diagonal recurrent matrix of `count` blocks."""
        return replace(self, **_source(self), heads=count)


def optional(stage: Stage) -> tuple[str, ...]:
    """The parameters of a stage's step that have a default."""
    parameters = inspect.signature(stage.step).parameters.values()
    return tuple(p.name for p in parameters if p.default is not inspect.Parameter.empty)


def _required(step: Callable) -> tuple[str, ...]:
    parameters = inspect.signature(step).parameters.values()
    return tuple(p.name for p in parameters if p.default is inspect.Parameter.empty)


@lru_cache
def _state_type(names: tuple[str, ...]) -> type:
    return namedtuple("State", names)  # type: ignore[misc]


def _source(cell: Cell) -> dict:
    """The fields to give again when a cell is copied: stages stand for the shorthand they came from."""
    return {"gates": (), "step": None, "sees": None, "split": (), "stages": cell.stages}


def _check(cell: Cell) -> None:
    """Refuse a cell that names what it does not have; the sentence says which name and what there is."""
    where = f"cell {cell.name}"
    _check_names(cell, where)
    if cell.block > 1 and cell.heads > 1:
        raise ValueError(f"{where}: blocks that share gates and heads cannot be combined")
    if cell.block < 1 or cell.heads < 1:
        raise ValueError(f"{where}: block is {cell.block} and heads is {cell.heads}; both count from 1")
    fixed = {*cell.units, *cell.constants, *cell.inputs}
    known = set(cell.state)
    for stage in cell.stages:
        for name in stage.sees or ():
            if name not in known:
                raise ValueError(f"{where}: sees names {name!r}, but there are only {sorted(known)}")
        for name in stage.split:
            if name not in stage.gates or not stage.input or not stage.sees:
                raise ValueError(f"{where}: split gate {name!r} needs both an input and a recurrent part")
        arrivals = {q for q in stage.gates if q not in stage.split}
        arrivals |= {f"{q}_{part}" for q in stage.split for part in "xr"}
        clash = arrivals & (known | fixed)
        if clash:
            raise ValueError(f"{where}: {sorted(clash)} name both a gate and another value of the step")
        for name in stage.takes:
            if name not in arrivals | known | fixed:
                raise ValueError(
                    f"{where}: its step takes {name!r}, which is no gate, state, unit, constant or input; "
                    f"there are {sorted(arrivals | known | fixed)}"
                )
        idle = arrivals - set(stage.takes)
        if idle:
            raise ValueError(f"{where}: {sorted(idle)} are computed, but the step takes only {list(stage.takes)}")
        if not stage.input and not stage.sees:
            raise ValueError(f"{where}: gates {stage.gates} see neither the input nor a state")
        clash = set(stage.writes) & (fixed | arrivals)
        if clash:
            raise ValueError(f"{where}: a stage writes {sorted(clash)}, which are no states: they are given")
        known |= set(stage.writes)
    if not cell.fed:
        raise ValueError(f"{where}: no gate sees the input; at least one stage needs gates and input=True")
    lost = set(cell.state) - {name for stage in cell.stages for name in stage.writes}
    if lost:
        raise ValueError(f"{where}: no stage writes the states {sorted(lost)}")


def _check_names(cell: Cell, where: str) -> None:
    """Names are identifiers, in tuples, and every one means one thing."""
    if not cell.state:
        raise ValueError(f"{where}: `state` is empty; the first state is the output, so at least one is needed")
    for what, names in (("state", cell.state), ("inputs", cell.inputs), ("shared", cell.shared)):
        if not isinstance(names, tuple):
            raise ValueError(f"{where}: `{what}` is {names!r}; it must be a tuple of names, such as ('h',)")
    values = (*cell.state, *cell.units, *cell.constants, *cell.inputs)
    for name in (*cell.gates, *values):
        if not name.isidentifier():
            raise ValueError(f"{where}: {name!r} is no name that a step can take")
    twice = sorted({n for n in values if values.count(n) > 1})
    if twice:
        raise ValueError(f"{where}: {twice} are named twice among states, units, constants and inputs")
    if len(set(cell.gates)) != len(cell.gates):
        raise ValueError(f"{where}: a gate is named twice in {cell.gates}")
    unknown = sorted(set(cell.shared) - {*cell.gates, *cell.state})
    if unknown:
        raise ValueError(f"{where}: shared names {unknown}, which are neither gates nor states")
