"""Print the forward kernels of a program."""

from karussell.ops.recurrence.triton.plan import Edge, Plan, first_product, first_saved, products
from karussell.ops.recurrence.triton.text import Kernel, Text, fed_place, input_columns, own_bias
from karussell.program import Program
from karussell.program.emit_triton import instructions
from karussell.program.program import StageProgram


def forward(p: Program, plan: Plan) -> list[Kernel]:
    """One kernel over all steps; or, stepwise, one that begins and one a stage."""
    if plan.kind != "stepwise":
        return [_whole(Forward(p, plan, backward=False))]
    first = Forward(p, plan, backward=False)
    first.begin("zx")
    first.initial()
    first.flush(first.changed)
    return [first.kernel("begin"), *(_stage(Forward(p, plan, backward=False), k) for k in range(len(p.stages)))]


def _whole(f: "Forward") -> Kernel:
    f.begin("zx")
    f.weights()
    f.initial()

    def step() -> None:
        f.at()
        for k in range(len(f.p.stages)):
            f.stage(k)

    f.loop("for k in range(0, steps):", step)
    f.flush(f"s{i}" for i in range(f.states))
    return f.kernel("forward")


def _stage(f: "Forward", k: int) -> Kernel:
    f.begin("zx")
    f.at()
    f.stage(k)
    f.flush(f.changed)
    return f.kernel(f"stage{k}", step=True)


class Forward(Text):
    """The forward recurrence of a tile."""

    def weights(self) -> None:
        """Tiles of R that stay in registers."""
        for edge in self.edges:
            for j in range(self.plan.tiles):
                for m in range(products(self.p.stages[edge.stage])):
                    self.say(f"R{edge.stage}_{edge.place}_{m}_{j} = {self.matrix(edge, m, str(j))}")

    def matrix(self, e: Edge, m: int, j: str) -> str:
        """A tile of R, [units it multiplies, units]: rows of the value's unit, columns of the product's."""
        s = self.p.stages[e.stage]
        self.say(f"cr = {j} * KB + tl.arange(0, KB)[:, None]")
        row, across = f"d * {len(s.sees)} * H + {e.place} * H + cr", products(s)
        place = f"({row}).to(tl.int64) * ({across} * H) + {m} * H + u"
        return f"tl.load({self.arg(f'r{e.stage}')} + {place}, mask=(cr < H) & inside, other=0.0)"

    def initial(self) -> None:
        """The states before the first step, and what R multiplies in it."""
        if self.plan.resets:
            self.say("t = back * (steps - 1)")
            self.anew("t + back", "t + back < T")
        for i in range(self.states):
            value = self.of_state("initial", i)
            self.set(f"s{i}", f"tl.where(fresh, {self.start(i)}, {value})" if self.plan.resets else value)
        if not self.resident:
            for e, edge in enumerate(self.edges):
                if edge.value < self.states:
                    self.send(e, f"s{edge.value}", "0")
            if not self.single and self.edges:
                self.wait("1")

    def send(self, e: int, value: str, parity: str) -> None:
        """Write what R will multiply where all programs, or torch, find it."""
        edge = self.edges[e]
        sees = len(self.p.stages[edge.stage].sees)
        value = f"{value} * gal{e}" if self.plan.gal else value
        parity = "0" if self.single else parity
        place = f"((({parity}) * tl.num_programs(1) + d) * B + b).to(tl.int64) * ({sees} * H) + {edge.place} * H + u"
        self.store(f"x{edge.stage}", place, value, "here")

    def stage(self, k: int) -> None:
        """Products, then arithmetic."""
        s = self.p.stages[k]
        sums = self.products(k, s) if s.sees else []
        names = {}
        for n in range(len(s.arrivals)):
            terms = []
            place, bias = fed_place(self.p, k, n), own_bias(self.p, k, s)[n]
            if place is not None:
                at = f"(line * {input_columns(self.p)} + {place}) * H + u"
                terms.append(f"tl.load({self.arg('zx')} + {at}, mask=live, other=0.0).to(tl.float32)")
            if bias is not None and self.plan.bias:
                at = f"(d * {len(self.p.arrivals)} + {bias}) * H + u"
                terms.append(f"tl.load({self.arg('bias')} + {at}, mask=inside, other=0.0).to(tl.float32)")
            if s.sees and n >= s.alone:
                terms.append(sums[n - s.alone])
            self.say(f"z{n} = {' + '.join(terms) or 'none'}")
            names[f"z{n}"] = f"z{n}"
        names |= {f"v{v}": self.value(v) for v in s.takes}
        written = [f"w{i}" for i in range(len(s.writes))]
        saved = [f"e{i}" for i in range(s.saved)]
        self.say(*instructions(s.forward, names, [*written, *saved]))
        if self.plan.keep:
            for i, name in enumerate(saved):
                column = first_saved(self.p, k) + i
                self.store("saved", f"(line * {self.p.saved} + {column}) * H + u", name)
        for value, name in zip(s.writes, written, strict=True):
            self.write(value, name)
        if not self.single and not self.resident and k in self.meeting:
            number = self.meeting.index(k) + 2
            self.wait(f"{number} + {len(self.meeting)} * k")

    @property
    def meeting(self) -> list[int]:
        """The stages after which programs meet: those that write what R sees."""
        seen = {e.value for e in self.edges}
        after = {v + self.states if v < self.states else v for v in seen}
        return [k for k, s in enumerate(self.p.stages) if after & set(s.writes)]

    def value(self, v: int) -> str:
        """What a step takes."""
        if v < self.states:
            return self.var(f"s{v}")
        return self.var(f"m{v}") if v < self.p.first_fixed else self.given(v)

    def write(self, value: int, name: str) -> None:
        """What becomes of a value that a stage wrote."""
        i = value - self.states
        if i >= self.states:
            self.set(f"m{value}", name)
        else:
            self.settle(i, name)
            name = "now"
        if value in self.plan.shown:
            self.store(f"h{value}", "line * H + u", name)
        if self.resident:
            return
        for e, edge in enumerate(self.edges):
            if edge.value == value:
                self.send(e, f"m{value}", "k % 2")
            elif edge.value == i < self.states:
                self.send(e, f"s{i}", "(k + 1) % 2")

    def settle(self, i: int, name: str) -> None:
        """A new state under the options; what the next step finds."""
        if i in self.plan.fresh:
            self.store(f"fresh{i}", "line * H + u", name)
        if i in self.plan.clip:
            limit = self.arg(f"clip{i}")
            self.say(f"now = tl.where({name} > {limit}, {limit}, tl.where({name} < -{limit}, -{limit}, {name}))")
            name = "now"
        if i in self.plan.zone:
            name = self.zone(i, self.var(f"s{i}"), name)
        self.say(f"now = {name}")
        self.set(f"s{i}", f"tl.where(live, now, {self.var(f's{i}')})" if self.plan.ragged else "now")
        if self.plan.resets:
            self.anew("t + 1 - back", "k + 1 < steps")
            self.set(f"s{i}", f"tl.where(fresh, {self.start(i)}, s{i})")

    def products(self, k: int, s: StageProgram) -> list[str]:
        """What R gives to each of the stage's products."""
        count = products(s)
        sums = [f"y{m}" for m in range(count)]
        if self.single:
            for m in range(count):
                place = f"((d * B + b).to(tl.int64) * {count} + {m}) * H + u"
                self.say(f"y{m} = tl.load({self.arg(f'p{k}')} + {place}, mask=here, other=0.0).to(tl.float32)")
        else:
            self.say(*(f"y{m} = none" for m in range(count)))
            for e, edge in enumerate(self.edges):
                if edge.stage == k:
                    self.multiply(e, edge, count)
        return [self.normalise(k, m) for m in range(count)] if self.plan.normed else sums

    def multiply(self, e: int, edge: Edge, count: int) -> None:
        """Add one value's products to the sums."""
        if self.resident:
            value = f"s{edge.value}" if edge.value < self.states else f"m{edge.value}"
            masked = f"{value} * gal{e}" if self.plan.gal else value
            self.say(f"x = narrow(tl.where(inside, {masked}, 0.0), DT, SIMULATE)")
            self.add(edge, count, "0")
            return
        parity = "k % 2"
        sees = len(self.p.stages[edge.stage].sees)

        def tile(j: str) -> None:
            self.say(f"cx = {j} * KB + tl.arange(0, KB)[None, :]")
            place = (
                f"((({parity}) * tl.num_programs(1) + d) * B + b).to(tl.int64) * ({sees} * H) + {edge.place} * H + cx"
            )
            load = f"tl.load({self.arg(f'x{edge.stage}')} + {place}, mask=row & (cx < H), other=0.0"
            self.say(f'x = {load}, cache_modifier=".cg")')
            self.add(edge, count, j)

        if self.plan.tiles:
            for j in range(self.plan.tiles):
                tile(str(j))
        else:
            self.loop("for j in range(0, tl.cdiv(H, KB)):", lambda: tile("j"))

    def add(self, edge: Edge, count: int, j: str) -> None:
        """Add the products of one tile."""
        for m in range(count):
            r = f"R{edge.stage}_{edge.place}_{m}_{j}" if self.plan.tiles else self.matrix(edge, m, j)
            self.say(f"y{m} = product(x, {r}, y{m}, PRECISION, SIMULATE)")

    def normalise(self, k: int, m: int) -> str:
        """Layer norm of a product, over all units of the row; what backward reads is kept."""
        count, q = products(self.p.stages[k]), first_product(self.p, k) + m
        every = first_product(self.p, len(self.p.stages))
        self.say(
            f"y{m} = tl.where(inside, y{m} - tl.sum(tl.where(inside, y{m}, 0.0), 1)[:, None] / H, 0.0)",
            f"g = 1.0 / tl.sqrt(tl.sum(y{m} * y{m}, 1)[:, None] / H + 1e-5)",
            f"y{m} = y{m} * g",
        )
        if self.plan.keep:
            self.store("norms", f"(line * {every} + {q}) * H + u", f"y{m}")
            self.say(f"tl.store({self.arg('scales')} + line * {every} + {q}, g, mask=row)")
        gain = f"{self.arg(f'gain{k}')} + (d * {count} + {m}) * H + u"
        self.say(f"y{m} = y{m} * tl.load({gain}, mask=inside, other=0.0).to(tl.float32)")
        return f"y{m}"
