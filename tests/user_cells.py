"""Cells that a user might write, one for every clause of the contract that no built-in cell has; and tame problems."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from karussell import cells
from karussell.cells import Cell, Stage


def _write(i: Tensor, g: Tensor, c: Tensor, p_i: Tensor) -> Tensor:
    return 0.7 * c + torch.sigmoid(i + p_i * c) * torch.tanh(g)


def _read(o: Tensor, c: Tensor, h: Tensor) -> Tensor:
    return torch.sigmoid(o) * torch.tanh(c) + 0.1 * h


Looking = Cell(
    "looking",
    state=("h", "c"),
    stages=(
        Stage(("i", "g"), _write, writes=("c",), sees=("h", "c")),
        Stage(("o",), _read, writes=("h",), sees=("c", "h")),
    ),
    units={"p_i": 0.0},
)
"""The second stage takes and sees the new c, which the first wrote, and the old h."""


def _narrow(a: Tensor, z: Tensor, h: Tensor, rate: Tensor, gap: Tensor) -> Tensor:
    kept = torch.sigmoid(z) * torch.exp(-torch.abs(rate) * gap)
    return kept * h + (1 - kept) * torch.tanh(a)


Gap = Cell("gap", ("h",), ("a", "z"), _narrow, units={"rate": 0.5}, inputs=("gap",))
"""One per-step input."""


def _both(a: Tensor, h: Tensor, gap: Tensor, push: Tensor) -> Tensor:
    return torch.tanh(a + push) * gap + h / (1 + gap)


TwoInputs = Cell("two_inputs", ("h",), ("a",), _both, inputs=("gap", "push"))
"""Two per-step inputs; tests give the second a value a unit."""


def _first(a: Tensor, z: Tensor, h: Tensor, u: Tensor, v: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    return torch.tanh(a * u) + v * h, torch.sigmoid(z + u * k)


def _second(b: Tensor, n_x: Tensor, n_r: Tensor, m: Tensor, y: Tensor, h: Tensor, u: Tensor, w: Tensor) -> Tensor:
    return torch.sigmoid(b) * u * m + (1 - y) * torch.tanh(n_x + w * n_r) + y * h


Vectors = Cell(
    "vectors",
    state=("h",),
    stages=(
        Stage(("a", "z"), _first, writes=("m", "y")),
        Stage(("b", "n"), _second, sees=("m", "h"), split=("n",)),
    ),
    units={"u": 1.0, "v": 0.5, "w": 1.0},
    constants={"k": lambda hidden: torch.linspace(0.5, 1.5, hidden)},
)
"""Learned vectors in both stages, one of them in each; a constant; a split gate behind a plain one."""


def _deep(a: Tensor, s: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    s = torch.tanh(s + a)
    return 0.5 * h + s, s


def _blind(b: Tensor, s: Tensor, h: Tensor) -> Tensor:
    return h * torch.sigmoid(b) + s


Unfed = Cell(
    "unfed",
    state=("h", "s"),
    stages=(
        Stage(("a",), _deep, sees=("s",)),
        Stage(("q",), lambda q, s: torch.tanh(q) + s, writes=("s",), sees=()),
        Stage(("b",), _blind, writes=("h",), input=False, sees=("s", "h")),
    ),
)
"""Three stages: one that sees only the second state, one that sees no state, one without input. Both written twice."""


def _idle(a: Tensor) -> tuple[Tensor, Tensor]:
    return torch.tanh(a), torch.sigmoid(a)


Idle = Cell("idle", ("h", "e"), ("a",), _idle, units={"never": 1.0})
"""A state that nothing reads, and a learned vector that no step takes."""

USER = (Looking, Gap, TwoInputs, Vectors, Unfed, Idle)
STRUCTURED = (cells.LSTM.with_blocks(2), cells.LSTM1997.with_blocks(2), cells.LSTM.with_heads(2))
EVERY = (*cells.CELLS, *STRUCTURED, *USER)
"""All cells that the compiled engine is compared on."""


def named(cell: Cell) -> str:
    """A cell's name in test ids."""
    marks = {"_blocks": cell.block, "_heads": cell.heads}
    return cell.name + "".join(f"{m}{n}" for m, n in marks.items() if n > 1)


def fitting(cell: Cell, hidden: int) -> int:
    """The next number of units that this cell's structure divides."""
    parts = 4 if cell is cells.ClockworkRNN else max(cell.block, cell.heads)
    return -(-hidden // parts) * parts


def off(found: Tensor, expected: Tensor) -> float:
    """The largest error, relative to the largest number, and absolute below 1; nan where either has one."""
    if not found.numel():
        return 0.0
    error = (found.double() - expected.double()).abs().max().item()
    return error / max(1.0, expected.abs().max().item())


class Case(NamedTuple):
    """One shape and set of options to compare engines on; `upstream` names what gradients flow into."""

    steps: int
    batch: int
    hidden: int
    inputs: int = 3
    ragged: bool = False
    reverse: bool = False
    threads: int = 1
    state: bool = True
    bias: bool = True
    upstream: str = "y final states"

    def lengths(self) -> Tensor | None:
        """From 0 to all steps, not sorted; one row without steps wherever there are two rows."""
        if not self.ragged:
            return None
        found = torch.tensor([(5 * b + self.steps - 1) % self.steps + 1 for b in range(self.batch)])
        found[self.batch // 2] = 0 if self.batch > 1 else self.steps
        found[0] = self.steps
        return found


def tame(make: Callable, cell: Cell, case: Case, dtype: torch.dtype, seed: int = 0):
    """A problem whose weights have the scale of a fresh layer's, so that nothing explodes and float32 can be judged."""
    hidden = fitting(cell, case.hidden)
    p = make(cell, case.steps, case.batch, case.inputs, hidden, seed=seed, bias=case.bias, grad=False)

    def leaf(value: Tensor | None, scale: float = 1.0) -> Tensor | None:
        return None if value is None else (value * scale).to(dtype).requires_grad_()

    w = p.weights
    small = hidden**-0.5
    units = {n: leaf(v, 0.5) if n in cell.units else v.to(dtype) for n, v in w.units.items()}
    weights = w._replace(
        w=leaf(w.w, case.inputs**-0.5), r=tuple(leaf(r, small) for r in w.r), b=leaf(w.b), b_r=leaf(w.b_r), units=units
    )
    state = cell.State(*(v.to(dtype) if n == "t" else leaf(v, 0.5) for n, v in p.state._asdict().items()))
    given = {n: v.to(dtype) for n, v in p.inputs.items()}
    if "push" in given:
        generator = torch.Generator().manual_seed(seed + 1)
        given["push"] = torch.randn(case.steps, case.batch, hidden, generator=generator, dtype=torch.float64).to(dtype)
    return p._replace(x=leaf(p.x), weights=weights, state=state, inputs=given)


def doubled(p):
    """The same problem, to the last bit, in float64."""

    def wide(value: Tensor) -> Tensor:
        return value.detach().double().requires_grad_(value.requires_grad)

    fixed = {n: v.double() for n, v in p.weights.units.items() if not v.requires_grad}
    q = p.replaced([wide(v) for v in p.leaves()])
    weights = q.weights._replace(units={**q.weights.units, **fixed})
    state = q.cell.State(*(v if v.dtype is torch.float64 else v.double() for v in q.state))
    return q._replace(weights=weights, state=state, inputs={n: v.double() for n, v in p.inputs.items()})
