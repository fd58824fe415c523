"""Print the backward kernels of a program: the gradients of all pre-activations, of states, starts and unit vectors."""

from karussell.ops.recurrence.triton.plan import Edge, Plan, first_arrival, first_product, first_saved, products
from karussell.ops.recurrence.triton.text import Kernel, Text
from karussell.program import Program
from karussell.program.emit_triton import instructions
from karussell.program.program import StageProgram


def backward(p: Program, plan: Plan) -> list[Kernel]:
    """One kernel over all steps; or, stepwise, one a stage, and one that ends."""
    if plan.kind != "stepwise":
        return [_whole(Backward(p, plan, backward=True))]
    last = Backward(p, plan, backward=True)
    last.begin("dz")
    last.at()
    last.finish()
    last.flush(last.changed)
    stages = [_stage(Backward(p, plan, backward=True), k) for k in reversed(range(len(p.stages)))]
    return [*stages, last.kernel("end", step=True)]


def _whole(g: "Backward") -> Kernel:
    g.begin("dz")
    g.weights()
    for name in g.slots:
        if name[0] == "c":
            g.set(name, g.of_state("dfinal", int(name[1:])))
        elif name[0] in "taq":
            g.set(name, "none")

    def step() -> None:
        g.say("k = steps - 1 - n")
        g.at()
        g.receive()
        for k in reversed(range(len(g.p.stages))):
            g.stage(k)
        g.finish()

    g.loop("for n in range(0, steps):", step)
    g.flush(name for name in g.slots if name[0] in "ctaq")
    return g.kernel("backward")


def _stage(g: "Backward", k: int) -> Kernel:
    g.begin("dz")
    if k == len(g.p.stages) - 1:
        # what the step after this one gave is complete only now: all its products are made
        g.say("after = k + 1 < T")
        g.at("tl.minimum(k + 1, T - 1)")
        g.finish("after")
        g.at()
        g.receive()
    else:
        g.at()
    g.stage(k)
    g.flush(g.changed)
    return g.kernel(f"stage{k}", step=True)


class Backward(Text):
    """The backward recurrence of a tile.

    c: the gradient of a state after step t; k: of the state as the step made it; o: of the state before the step.
    """

    def weights(self) -> None:
        """Tiles of R that stay in registers."""
        for edge in self.edges:
            for j in range(self.plan.tiles):
                for m in range(products(self.p.stages[edge.stage])):
                    self.say(f"R{edge.stage}_{edge.place}_{m}_{j} = {self.matrix(edge, m, str(j))}")

    def matrix(self, e: Edge, m: int, j: str) -> str:
        """A tile of R, [units of the product, units it multiplies]."""
        s = self.p.stages[e.stage]
        self.say(f"cr = {j} * KB + tl.arange(0, KB)[:, None]")
        row = f"d * {products(s)} * H + {m} * H + cr"
        place = f"({row}).to(tl.int64) * ({len(s.sees)} * H) + {e.place} * H + u"
        return f"tl.load({self.arg(f'r{e.stage}')} + {place}, mask=(cr < H) & inside, other=0.0)"

    def receive(self) -> None:
        """From the gradients of the states after the step to those of the states as the step made them."""
        for i in range(self.states):
            value = self.var(f"c{i}")
            if i in self.plan.flows:
                value = f"{value} + {self.course(f'g{i}')}"
            self.say(f"now = {value}")
            made, past = "now", "none"
            if i in self.plan.zone and self.plan.training:
                self.say(f"stay = {self.stays(i)}")
                made, past = "tl.where(stay, 0.0, now)", "tl.where(stay, now, 0.0)"
            elif i in self.plan.zone:
                rate = self.arg(f"zone{i}")
                made, past = f"(1.0 - {rate}) * now", f"{rate} * now"
            if i in self.plan.clip:
                self.say(f"within = tl.abs({self.course(f'fresh{i}')}) <= {self.arg(f'clip{i}')}")
                made = f"tl.where(within, {made}, 0.0)"
            self.set(f"k{i}", made)
            self.set(f"o{i}", past)
        for name in self.slots:
            if name[0] == "m":
                self.set(name, "none")

    def stage(self, k: int) -> None:
        """The stage's vector-Jacobian product, and what it sends back through R."""
        s = self.p.stages[k]
        names = {}
        for n, value in enumerate(s.writes):
            i = value - self.states
            if i < self.states:
                names[f"d{n}"] = self.var(f"k{i}")
            else:
                self.sent_back(value, self.var(f"m{value}"))
                names[f"d{n}"] = f"m{value}"
        for n in range(s.saved):
            at = f"(line * {self.p.saved} + {first_saved(self.p, k) + n}) * H + u"
            self.say(f"s{n} = tl.load({self.arg('saved')} + {at}, mask=live, other=0.0).to(tl.float32)")
            names[f"s{n}"] = f"s{n}"
        for v in s.needs:
            self.say(f"v{v} = {self.value(v)}")
            names[f"v{v}"] = f"v{v}"
        arrived = [f"z{n}" for n in range(len(s.arrivals))]
        taken = [f"x_{n}" for n in range(len(s.d_takes))]
        units = [f"q_{n}" for n in range(len(s.d_units))]
        self.say(*instructions(s.backward, names, [*arrived, *taken, *units]))
        for n, name in enumerate(arrived):
            # beyond its sequence a row has no gradient, and what it computed there may be nan
            column, own = first_arrival(self.p, k) + n, f"y{k}_{n}"
            self.say(f"{own} = tl.where(live, {name}, 0.0)")
            self.store("dz", f"(line * {len(self.p.arrivals)} + {column}) * H + u", own)
        for name, v in zip(taken, s.d_takes, strict=True):
            target = f"o{v}" if v < self.states else f"m{v}"
            self.set(target, f"{self.var(target)} + tl.where(live, {name}, 0.0)")
        for name, v in zip(units, s.d_units, strict=True):
            self.set(f"a{v}", f"{self.var(f'a{v}')} + tl.where(live, {name}, 0.0)")
        if self.plan.normed and s.sees:
            for m in range(products(s)):
                self.normalise(k, s, m)
        if s.sees and not self.single and not self.resident:
            seeing = [j for j in reversed(range(len(self.p.stages))) if self.p.stages[j].sees]
            self.wait(f"{seeing.index(k) + 1} + {len(seeing)} * n")

    def value(self, v: int) -> str:
        """What the vector-Jacobian product reads of the forward pass."""
        if v >= self.p.first_fixed:
            return self.given(v)
        if v >= self.states:
            i = v - self.states
            return self.course(f"fresh{i}" if i in self.plan.fresh else f"h{v}")
        # before the first step it was the initial state, after a reset the start, else what the step before left
        last = "length - 1" if self.plan.ragged else "T - 1"
        self.say(f"first = t == back * ({last})")
        place = "((d * T + t - 1 + 2 * back).to(tl.int64) * B + b) * H + u"
        old = (
            f"tl.load({self.arg(f'h{v + self.states}')} + {place}, mask=live & (first == 0), other=0.0).to(tl.float32)"
        )
        value = f"tl.where(first, {self.of_state('initial', v, 'live & first')}, {old})"
        if not self.plan.resets:
            return value
        self.anew("t + back", "t + back < T")
        return f"tl.where(fresh, {self.of_state('start', v, 'live & fresh')}, {value})"

    def sent_back(self, value: int, name: str) -> None:
        """Add what all that saw a value sends back through R."""
        for e, edge in enumerate(self.edges):
            if edge.value != value:
                continue
            s = self.p.stages[edge.stage]
            if self.single:
                at = f"((d * B + b).to(tl.int64) * {len(s.sees)} + {edge.place}) * H + u"
                self.say(f"y = tl.load({self.arg(f'p{edge.stage}')} + {at}, mask=here, other=0.0).to(tl.float32)")
            else:
                self.say("y = none")
                self.multiply(edge, s)
            self.set(name, f"{name} + y * gal{e}" if self.plan.gal else f"{name} + y")

    def multiply(self, edge: Edge, s: StageProgram) -> None:
        """Sum over the stage's products, in the order of their places."""
        k = edge.stage
        if self.resident:
            for m in range(products(s)):
                name = f"y{k}_n{m}" if self.plan.normed else f"y{k}_{s.alone + m}"
                self.say(f"x = narrow(tl.where(inside, {name}, 0.0), DT, SIMULATE)")
                self.add(edge, m, "0")
            return

        def tile(j: str) -> None:
            self.say(f"cx = {j} * KB + tl.arange(0, KB)[None, :]")
            for m in range(products(s)):
                column = first_arrival(self.p, k) + s.alone + m
                place = f"(line * {len(self.p.arrivals)} + {column}) * H + cx"
                load = f"tl.load({self.arg('dz')} + {place}, mask=row & (cx < H), other=0.0"
                self.say(f'x = {load}, cache_modifier=".cg")')
                self.add(edge, m, j)

        if self.plan.tiles:
            for j in range(self.plan.tiles):
                tile(str(j))
        else:
            self.loop("for j in range(0, tl.cdiv(H, KB)):", lambda: tile("j"))

    def add(self, edge: Edge, m: int, j: str) -> None:
        """One more tile of the sum."""
        r = f"R{edge.stage}_{edge.place}_{m}_{j}" if self.plan.tiles else self.matrix(edge, m, j)
        self.say(f"y = product(x, {r}, y, PRECISION, SIMULATE)")

    def normalise(self, k: int, s: StageProgram, m: int) -> None:
        """From the gradient of a normalised product to that of the product, which is kept; the gain's gathers."""
        every, q = first_product(self.p, len(self.p.stages)), first_product(self.p, k) + m
        gain = f"{self.arg(f'gain{k}')} + (d * {products(s)} + {m}) * H + u"
        self.say(
            f"w = tl.load({self.arg('norms')} + (line * {every} + {q}) * H + u, mask=live, other=0.0).to(tl.float32)",
            f"g = y{k}_{s.alone + m}",
        )
        self.set(f"q{q}", f"{self.var(f'q{q}')} + g * w")
        self.say(
            f"g = g * tl.load({gain}, mask=inside, other=0.0).to(tl.float32)",
            "g = g - tl.sum(g, 1)[:, None] / H - w * (tl.sum(g * w, 1)[:, None] / H)",
            f"g = g * tl.load({self.arg('scales')} + line * {every} + {q}, mask=row, other=0.0)",
            f"y{k}_n{m} = tl.where(live, g, 0.0)",
        )
        self.store("sent", f"(line * {every} + {q}) * H + u", f"y{k}_n{m}")

    def finish(self, guard: str = "") -> None:
        """The gradients of the states after the step before: of those before this one, but for what began anew."""
        on = "live" if self.plan.ragged or guard else ""
        on = f"{on} & {guard}" if guard else on
        for i in range(self.states):
            self.sent_back(i, self.var(f"o{i}"))
        if self.plan.resets:
            self.anew("t + back", "t + back < T")
        for i in range(self.states):
            value = f"o{i}"
            if self.plan.resets:
                cut = f"fresh & {on}" if on else "fresh"
                self.set(f"t{i}", f"{self.var(f't{i}')} + tl.where({cut}, o{i}, 0.0)")
                value = f"tl.where(fresh, 0.0, o{i})"
            self.set(f"c{i}", f"tl.where({on}, {value}, {self.var(f'c{i}')})" if on else value)
