"""The differentiable inputs of a compiled call, in one flat order."""

from collections.abc import Sequence
from itertools import pairwise
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
        seeing, count, fixed = p.seeing, len(p.states), len(p.units) + len(p.constants)
        cuts = [3, 3 + seeing, 3 + seeing + count, 3 + seeing + count + fixed]
        r, state, units = (tuple(flat[a:b]) for a, b in pairwise(cuts))
        x, w, bias = flat[:3]
        if len(flat) == cuts[-1]:
            return cls(x, w, bias, r, state, units)  # type: ignore[arg-type]
        start, rest = tuple(flat[cuts[-1] : cuts[-1] + count]), list(flat[cuts[-1] + count :])
        norm_x = rest.pop(0) if rest else None
        normed = seeing if norm_x is not None else 0
        norm_r, rest = tuple(rest[:normed]), rest[normed:]
        return cls(x, w, bias, r, state, units, start, norm_x, norm_r, rest[0] if rest else None)  # type: ignore[arg-type]
