"""Random problems for any cell."""

from typing import NamedTuple

import torch
from torch import Tensor

from karussell.cells import Cell
from karussell.ops import Weights, shapes


class Problem(NamedTuple):
    """A recurrence to run, all of it random: nothing is zero, the initial state least of all."""

    cell: Cell
    x: Tensor
    weights: Weights
    state: tuple[Tensor, ...]
    inputs: dict[str, Tensor]

    def leaves(self) -> list[Tensor]:
        """What has a gradient, in a fixed order: x, weights, unit vectors, initial state."""
        w = self.weights
        units = [w.units[n] for n in self.cell.units]
        several = [*w.r, *(w.norm_r or ()), *units, *self.state]
        return [v for v in (self.x, w.w, w.b, w.b_r, w.norm_x, w.p, *several) if v is not None and v.requires_grad]

    def replaced(self, leaves: list[Tensor]) -> "Problem":
        """The same problem with other leaves, in the same order."""
        new = dict(zip(map(id, self.leaves()), leaves, strict=True))

        def swap(v: Tensor | None) -> Tensor | None:
            return new.get(id(v), v)

        w = self.weights
        weights = Weights(
            swap(w.w),
            tuple(map(swap, w.r)),
            swap(w.b),
            swap(w.b_r),
            {n: swap(v) for n, v in w.units.items()},
            swap(w.norm_x),
            None if w.norm_r is None else tuple(map(swap, w.norm_r)),
            swap(w.p),
        )
        state = self.cell.State(*map(swap, self.state))
        return self._replace(x=swap(self.x), weights=weights, state=state)


def make_problem(
    cell: Cell,
    steps: int = 5,
    batch: int = 3,
    inputs: int = 2,
    hidden: int = 4,
    *,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
    bias: bool = True,
    norm: bool = False,
    projection: int | None = None,
    grad: bool = True,
) -> Problem:
    """Draw a problem for a cell; the same seed gives the same problem."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int, scale: float = 1.0) -> Tensor:
        values = torch.randn(shape, generator=generator, dtype=torch.float64) * scale
        return values.to(dtype).requires_grad_(grad)

    need = shapes(cell, inputs, hidden, projection)
    constants = {
        n: (v(hidden) if callable(v) else torch.full((hidden,), float(v))).to(dtype) for n, v in cell.constants.items()
    }
    weights = Weights(
        w=draw(*need.w),
        r=tuple(draw(*shape, scale=0.7) for shape in need.r),
        b=draw(need.b) if bias else None,
        b_r=draw(need.b_r) if bias and need.b_r else None,
        units={**{n: draw(hidden) for n in cell.units}, **constants},
        norm_x=draw(need.norm_x) if norm else None,
        norm_r=tuple(draw(size) for size in need.norm_r) if norm else None,
        p=None if projection is None else draw(projection, hidden),
    )
    widths = {n: cell.width(n, hidden) for n in cell.state}
    widths[cell.state[0]] = projection or widths[cell.state[0]]
    # the clockwork's time is a whole number, and nothing flows through it
    clock = torch.arange(batch, dtype=dtype)[:, None] % 8
    state = cell.State(
        *(clock.expand(batch, widths[n]).clone() if n == "t" else draw(batch, widths[n]) for n in widths)
    )
    x = draw(steps, batch, inputs)
    return Problem(cell, x, weights, state, {n: draw(steps, batch).detach().abs() for n in cell.inputs})
