"""A recurrence run from its program alone, in torch: what the compiled loop does, written to be read, not to be fast.

It knows nothing of the cell's step; forward and backward come from the instruction lists. So a wrong instruction
shows here as it shows compiled.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from karussell.ops.recurrence.weights import dense
from karussell.program import Program
from karussell.program.interpret import interpret
from karussell.program.program import StageProgram


class Trace(NamedTuple):
    """One step: what every value was, what each stage saved."""

    values: dict[int, Tensor]
    saved: list[list[Tensor]]


class Interpreted:
    """One recurrence over a problem, forward and backward; weights dense, rows all of one length."""

    def __init__(self, p: Program, problem) -> None:
        self.p, self.x = p, problem.x.detach()
        self.hidden = problem.state[0].shape[-1]
        w = dense(problem.cell, problem.weights, self.hidden)
        self.w, self.r = w.w.detach(), [r.detach() for r in w.r]
        self.bias = self._biases(w)
        self.state = [v.detach() for v in problem.state]
        self.units = {p.first_fixed + k: w.units[n].detach() for k, n in enumerate(p.units + p.constants)}
        first = p.first_fixed + len(self.units)
        wide = {n: v[..., None] if v.dim() == 2 else v for n, v in problem.inputs.items()}
        self.inputs = {first + k: wide[n] for k, n in enumerate(p.inputs)}

    def _biases(self, w) -> dict[str, Tensor]:
        p, found = self.p, {}
        if w.b is not None:
            for n, b in zip(p.gates, w.b.detach().split(self.hidden), strict=True):
                found[f"{n}_x" if n in p.split else n] = b
        if w.b_r is not None:
            found |= {f"{n}_r": b for n, b in zip(p.split, w.b_r.detach().split(self.hidden), strict=True)}
        return found

    def _gate(self, arrival: str) -> str:
        return arrival if arrival in self.p.gates else arrival[:-2]

    def _input_rows(self, arrival: str) -> slice:
        k = self.p.fed.index(self._gate(arrival))
        return slice(k * self.hidden, (k + 1) * self.hidden)

    def _recurrent_rows(self, s: StageProgram, arrival: str) -> slice:
        mine = {self._gate(a) for a in s.arrivals}
        k = [g for g in self.p.gates if g in mine].index(self._gate(arrival))
        return slice(k * self.hidden, (k + 1) * self.hidden)

    def _with_input(self, s: StageProgram) -> tuple[str, ...]:
        return s.arrivals[: s.alone + s.joined] if s.fed else ()

    def forward(self) -> tuple[Tensor, list[Tensor]]:
        """The output at every step, and the final state."""
        count, state = len(self.p.states), self.state
        self.trace: list[Trace] = []
        outputs = []
        for t in range(len(self.x)):
            values = dict(enumerate(state))
            values |= {k: v.expand(self.x.shape[1], -1) for k, v in self.units.items()}
            values |= {k: v[t].expand(-1, self.hidden) for k, v in self.inputs.items()}
            saved, seeing = [], 0
            for s in self.p.stages:
                named = {f"v{n}": values[n] for n in s.takes}
                for k, a in enumerate(s.arrivals):
                    z = self.x.new_zeros(self.x.shape[1], self.hidden)
                    z = z + self.bias[a] if a in self.bias else z
                    z = z + self.x[t] @ self.w[self._input_rows(a)].T if a in self._with_input(s) else z
                    if k >= s.alone:
                        seen = torch.cat([values[n] for n in s.sees], -1)
                        z = z + seen @ self.r[seeing][self._recurrent_rows(s, a)].T
                    named[f"z{k}"] = z
                seeing += bool(s.sees)
                result = interpret(s.forward.nodes, s.forward.outputs, named)
                values |= zip(s.writes, result, strict=False)
                saved.append(result[len(s.writes) :])
            self.trace.append(Trace(values, saved))
            state = [values[count + k] for k in range(count)]
            outputs.append(values[count])
        return torch.stack(outputs), state

    def backward(self, d_y: Tensor, d_final: list[Tensor]) -> dict[str, Tensor | list[Tensor]]:
        """Gradients of x, w, r by stage, biases by arrival, initial states, units by number."""
        p, count = self.p, len(self.p.states)
        dx, dw, dr = torch.zeros_like(self.x), torch.zeros_like(self.w), [torch.zeros_like(r) for r in self.r]
        db = {a: self.x.new_zeros(self.hidden) for a in p.arrivals}
        du = {n: torch.zeros_like(v) for n, v in self.units.items()}
        d_state = list(d_final)
        for t in reversed(range(len(self.x))):
            values, saved = self.trace[t]
            grads = {n: torch.zeros_like(v) for n, v in values.items()}
            for k in range(count):
                grads[count + k] = d_state[k] + (d_y[t] if k == 0 else 0)
            seeing = len(self.r)
            for s, kept in reversed(list(zip(p.stages, saved, strict=True))):
                named = {f"s{k}": v for k, v in enumerate(kept)} | {f"v{n}": values[n] for n in s.needs}
                named |= {f"d{k}": grads[n] for k, n in enumerate(s.writes)}
                result = iter(interpret(s.backward.nodes, s.backward.outputs, named))
                arrived = {a: next(result) for a in s.arrivals}
                for n in (*s.d_takes, *s.d_units):
                    grads[n] = grads[n] + next(result)
                seeing -= bool(s.sees)
                for k, a in enumerate(s.arrivals):
                    d, db[a] = arrived[a], db[a] + arrived[a].sum(0)
                    if a in self._with_input(s):
                        dx[t] += d @ self.w[self._input_rows(a)]
                        dw[self._input_rows(a)] += d.T @ self.x[t]
                    if k >= s.alone:
                        rows = self._recurrent_rows(s, a)
                        back = (d @ self.r[seeing][rows]).split(self.hidden, -1)
                        for n, part in zip(s.sees, back, strict=True):
                            grads[n] = grads[n] + part
                        dr[seeing][rows] += d.T @ torch.cat([values[n] for n in s.sees], -1)
            for n in du:
                du[n] += grads[n].sum(0)
            d_state = [grads[k] for k in range(count)]
        return {"x": dx, "w": dw, "r": dr, "b": db, "state": d_state, "units": du}


def gradients(p: Program, problem, d_y: Tensor, d_final: list[Tensor]) -> list[Tensor]:
    """The output, the final state, and gradients in the order of the problem's leaves, of a cell without structure."""
    engine = Interpreted(p, problem)
    y, final = engine.forward()
    g = engine.backward(d_y, d_final)
    w = problem.weights
    found = [g["x"], g["w"]]
    if w.b is not None:
        found.append(torch.cat([g["b"][f"{n}_x" if n in p.split else n] for n in p.gates]))
    if w.b_r is not None:
        found.append(torch.cat([g["b"][f"{n}_r"] for n in p.split]))
    found += g["r"]
    found += [g["units"][p.first_fixed + k] for k in range(len(p.units))]
    found += [d for d, v in zip(g["state"], problem.state, strict=True) if v.requires_grad]
    return [y, *final, *found]
