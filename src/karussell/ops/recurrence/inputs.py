"""The differentiable inputs of a compiled call, in one flat order."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from karussell.program import Program


class Inputs(NamedTuple):
    """The differentiable inputs, contiguous: biases in the order of the arrivals, units with constants."""

    x: Tensor
    w: Tensor
    bias: Tensor | None
    r: tuple[Tensor, ...]
    state: tuple[Tensor | None, ...]
    units: tuple[Tensor, ...]
    start: tuple[Tensor | None, ...] = ()
    norm_x: Tensor | None = None
    norm_r: tuple[Tensor, ...] = ()
    p: Tensor | None = None

    @classmethod
    def of(cls, p: Program, flat: Sequence[Tensor | None]) -> "Inputs":
        """From the flat order x, w, bias, r by stage, states, units; with options starts, norm_x, norm_r, p."""
        seeing, count, fixed = sum(bool(s.sees) for s in p.stages), len(p.states), len(p.units) + len(p.constants)
        parts = []
        rest: list = list(flat)
        normed = len(rest) > 3 + seeing + 2 * count + fixed and rest[3 + seeing + 2 * count + fixed] is not None
        for size in (1, 1, 1, seeing, count, fixed, count, 1, seeing if normed else 0, 1):
            parts.append(tuple(rest[:size]))
            rest = rest[size:]
        (x,), (w,), (bias,), r, state, units, start, norm_x, norm_r, projection = parts
        return cls(
            x,
            w,
            bias,
            r,
            state,
            units,
            start,
            norm_x[0] if norm_x else None,
            norm_r,
            projection[0] if projection else None,
        )
