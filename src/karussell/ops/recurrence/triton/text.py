"""What the printed kernels of both directions of time share: tiles, masks, options, products."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from karussell.ops.recurrence.triton.plan import Plan, edges, fed, first_arrival, key_names, slots
from karussell.program import Program
from karussell.program.program import StageProgram

SIZES = ("T", "B", "H", "reverse")
TILES = ("BB", "UB", "KB", "PRECISION", "SIMULATE")


class Kernel(NamedTuple):
    """A printed function: its name, the names of its arguments in order, its text."""

    name: str
    arguments: tuple[str, ...]
    text: str


class Text:
    """A kernel as it grows: lines, the arguments they name, which numbers are in registers.

    Tiles are [BB, UB], rows by units. `row` [BB, 1] and `here` say which rows and numbers exist, `live` which of them
    are within their sequence; `line` is the place of (direction, t, row) among [D, T, B].
    """

    def __init__(self, p: Program, plan: Plan, backward: bool) -> None:
        self.p, self.plan, self.edges = p, plan, edges(p)
        self.states = len(p.states)
        self.slots = slots(p, backward)
        self.lines: list[str] = []
        self.arguments: dict[str, None] = {}
        self.indent = 1
        self.known: set[str] = set()
        self.changed: dict[str, None] = {}
        self.single = plan.kind == "stepwise"  # numbers live in memory from one kernel to the next
        self.resident = plan.kind == "resident"

    def say(self, *lines: str) -> None:
        """More lines."""
        self.lines += ["    " * self.indent + line for line in lines]

    def arg(self, name: str) -> str:
        """An argument, noted."""
        self.arguments[name] = None
        return name

    def var(self, name: str) -> str:
        """A number of the scratch memory, in a register."""
        if self.single and name not in self.known:
            self.say(f"{name} = {self.scratch(name)}")
        self.known.add(name)
        return name

    def set(self, name: str, value: str) -> None:
        """A new value for it."""
        self.say(f"{name} = {value}")
        self.known.add(name)
        self.changed[name] = None

    def scratch(self, name: str) -> str:
        """Load it."""
        return f"tl.load({self._slot(name)}, mask=here, other=0.0)"

    def _slot(self, name: str) -> str:
        place = f"{len(self.slots)} * d + {self.slots.index(name)}"
        return f"{self.arg('scratch')} + (({place}) * B + b).to(tl.int64) * H + u"

    def flush(self, names: Iterable[str]) -> None:
        """Write numbers back to the scratch memory."""
        self.say(*(f"tl.store({self._slot(n)}, {n}, mask=here)" for n in names))

    def begin(self, like: str) -> None:
        """Which tile this program has; memory has the dtype of the argument `like`."""
        self.say(
            "d = tl.program_id(1)",
            "b = tl.program_id(0) * BB + tl.arange(0, BB)[:, None]",
            "u = tl.program_id(2) * UB + tl.arange(0, UB)[None, :]",
            "inside = u < H",
            "row = b < B",
            "here = row & inside",
            "zero = tl.zeros([1, 1], tl.float32)",
            "none = tl.zeros([BB, UB], tl.float32)",
            f"DT = {self.arg(like)}.dtype.element_ty",
            "back = reverse + d",
            "steps = T",
        )
        if self.plan.ragged:
            self.say(f"length = tl.load({self.arg('lengths')} + b, mask=row, other=0).to(tl.int32)")
            if not self.single:
                self.say("steps = tl.max(tl.max(length, 1), 0)")
        for n, name in enumerate(key_names(self.p, self.plan)):
            count = len(key_names(self.p, self.plan))
            self.say(f"key_{name} = tl.load({self.arg('keys')} + d * {count} + {n})")
        for e, edge in enumerate(self.edges if self.plan.gal else ()):
            keep, limit = self.arg("drop_scale"), self.arg("drop_limit")
            unit = f"({edge.place} * H + u)"
            self.say(f"gal{e} = tl.where(below(key_gal{edge.stage}, 0, b, {unit}, {limit}), 0.0, {keep})")

    def at(self, step: str = "k") -> None:
        """The time of a step, and which rows are within their sequences there."""
        self.say(
            f"t = {step} + back * (steps - 1 - 2 * {step})",
            "line = (d * T + t).to(tl.int64) * B + b",
            f"live = here & ({'t < length' if self.plan.ragged else 'row'})",
        )

    def given(self, value: int) -> str:
        """A value that no stage writes: a unit vector, a per-step input, a drawn mask."""
        p, n = self.p, value - self.p.first_fixed
        vectors = len(p.units) + len(p.constants)
        if n < vectors:
            return self._once(
                f"f{n}",
                f"tl.load({self.arg('fixed')} + (d * {vectors} + {n}) * H + u, mask=inside, other=1.0).to(tl.float32)",
            )
        if p.inputs[n - vectors] == "drop" and self.plan.drop:
            keep, limit = self.arg("drop_scale"), self.arg("drop_limit")
            return f"tl.where(below(key_drop, t.to(tl.uint64), b, u, {limit}), 0.0, {keep})"
        name = self.arg(f"input{n - vectors}")
        where = ("line * H + u", "here") if self.plan.wide[n - vectors] else ("line", "row")
        return f"tl.load({name} + {where[0]}, mask={where[1]}, other=1.0).to(tl.float32)"

    def _once(self, name: str, value: str) -> str:
        # unit vectors are loaded where they are first used, within a step: the compiler lifts them out of the loop
        self.say(f"{name} = {value}")
        return name

    def anew(self, at: str, guard: str) -> None:
        """Whether rows start anew where `resets` says so."""
        place = f"{self.arg('resets')} + ({at}) * B + b"
        self.say(f"fresh = tl.load({place}, mask=row & ({guard}), other=0) != 0")

    def start(self, i: int) -> str:
        """The state that a reset restores."""
        return self.of_state("start", i)

    def of_state(self, name: str, i: int, mask: str = "here") -> str:
        """A state in a tensor [D, states, B, H]."""
        place = f"(({self.states} * d + {i}) * B + b).to(tl.int64) * H + u"
        return f"tl.load({self.arg(name)} + {place}, mask={mask}, other=0.0).to(tl.float32)"

    def course(self, name: str, mask: str = "live") -> str:
        """A number of [D, T, B, H] at this line."""
        return f"tl.load({self.arg(name)} + line * H + u, mask={mask}, other=0.0).to(tl.float32)"

    def store(self, name: str, place: str, value: str, mask: str = "live") -> None:
        """Write a tile in the dtype of memory."""
        self.say(f"tl.store({self.arg(name)} + {place}, narrow({value}, DT, SIMULATE), mask={mask})")

    def zone(self, i: int, old: str, new: str) -> str:
        """A state's new value under zoneout."""
        rate = self.arg(f"zone{i}")
        if self.plan.training:
            return f"tl.where({self.stays(i)}, {old}, {new})"
        return f"{rate} * {old} + (1.0 - {rate}) * {new}"

    def stays(self, i: int) -> str:
        """Which units of a state keep their value in training."""
        return f"below(key_zone{i}, t.to(tl.uint64), b, u, {self.arg(f'zone{i}')})"

    def wait(self, number: str) -> None:
        """All programs of these rows come here; `number` counts such meetings from 1."""
        counter = f"{self.arg('counter')} + d * tl.num_programs(0) + tl.program_id(0)"
        self.say(f"barrier({counter}, ({number}) * tl.num_programs(2))")

    def loop(self, head: str, body: Callable[[], None]) -> None:
        """An indented block."""
        self.say(head)
        self.indent += 1
        body()
        self.indent -= 1

    def kernel(self, name: str, step: bool = False) -> Kernel:
        """The function."""
        constants = [f"{n}: tl.constexpr" for n in TILES]
        head = ", ".join([*self.arguments, *SIZES, *(["k"] if step else []), *constants])
        decorator = '@triton.jit(do_not_specialize=["k"])' if step else "@triton.jit"
        text = "\n".join([decorator, f"def {name}({head}):", *self.lines, ""])
        return Kernel(name, tuple(self.arguments), text)


def own_bias(p: Program, k: int, s: StageProgram) -> list[int | None]:
    """By arrival of a stage, its place in the bias, or None where the input products have it already."""
    first = first_arrival(p, k)
    return [None if s.fed and n < s.alone + s.joined else first + n for n in range(len(s.arrivals))]


def fed_place(p: Program, k: int, n: int) -> int | None:
    """The column of an arrival among the input products."""
    s = p.stages[k]
    if not s.fed or n >= s.alone + s.joined:
        return None
    return sum(t.alone + t.joined for t in p.stages[:k] if t.fed) + n


def input_columns(p: Program) -> int:
    """How many arrivals x feeds."""
    return len(fed(p))
