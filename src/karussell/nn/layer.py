"""One layer of any cell in one direction: its weights under names, made into what a recurrence takes at every call."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Module, Parameter, ParameterDict

from karussell.cells import Cell
from karussell.cells.cell import Vector
from karussell.ops import Weights, shapes


class Layer(Module):
    """The weights of one layer and direction.

    w             [rows of the fed gates, I], gate after gate in the cell's order
    r             one matrix a stage that sees anything: `r`, or `r_1`, `r_2`, ... where there are several
    b             a value for each row of the gates in `biased`
    b_r           the same for the recurrent part of those split gates that are in `biased`
    units         learned per-unit vectors by name
    norm_x        gain of the layer norm of W x;  norm_r, or norm_r_1, ...: of R h
    p             [P, H], projection of the output
    start         learned initial states by name

    Constants (clock periods) are buffers that a state_dict leaves out: the cell tells them again.
    """

    def __init__(
        self,
        cell: Cell,
        inputs: int,
        hidden: int,
        *,
        projection: int | None,
        biased: Sequence[str],
        layer_norm: bool,
        learned: Sequence[str],
        device: torch.device | str | int | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.cell, self.hidden, self.projection = cell, hidden, projection
        self.biased = tuple(q for q in cell.gates if q in biased)
        self.biased_r = tuple(q for q in cell.split_gates if q in biased)
        need = shapes(cell, inputs, hidden, projection)

        def empty(*shape: int) -> Parameter:
            return Parameter(torch.empty(shape, device=device, dtype=dtype))

        def gain(size: int) -> Parameter:
            return Parameter(torch.ones(size, device=device, dtype=dtype))

        self.w = empty(*need.w)
        for name, shape in zip(self.names("r"), need.r, strict=True):
            self.register_parameter(name, empty(*shape))
        self.b = empty(sum(cell.width(q, hidden) for q in self.biased)) if self.biased else None
        self.b_r = empty(hidden * len(self.biased_r)) if self.biased_r else None
        self.p = None if projection is None else empty(projection, hidden)
        self.units = ParameterDict({n: empty(hidden) for n in cell.units})
        for name, value in cell.constants.items():
            filled = vector(value, hidden).to(device=device, dtype=dtype or torch.get_default_dtype())
            self.register_buffer(f"constant_{name}", filled, persistent=False)
        self.norm_x = gain(need.norm_x) if layer_norm else None
        if layer_norm:
            for name, size in zip(self.names("norm_r"), need.norm_r, strict=True):
                self.register_parameter(name, gain(size))
        self.start = ParameterDict(
            {n: Parameter(torch.zeros(self.width(n), device=device, dtype=dtype)) for n in learned}
        )

    def names(self, stem: str) -> list[str]:
        """The names of a weight that every stage with a recurrent matrix has one of."""
        count = sum(bool(stage.sees) for stage in self.cell.stages)
        return [stem] if count == 1 else [f"{stem}_{k}" for k in range(1, count + 1)]

    def width(self, state: str) -> int:
        """Units of a state; the output's are those of the projection."""
        if self.projection is not None and state == self.cell.state[0]:
            return self.projection
        return self.cell.width(state, self.hidden)

    def weights(self) -> Weights:
        """What a recurrence takes, read by name: a parametrised weight is computed now."""
        cell = self.cell
        norm_r = None if self.norm_x is None else tuple(getattr(self, n) for n in self.names("norm_r"))
        constants = {n: self._constant(n) for n in cell.constants}
        return Weights(
            w=self.w,
            r=tuple(getattr(self, n) for n in self.names("r")),
            b=self._full(self.b, self.biased, cell.gates),
            b_r=self._full(self.b_r, self.biased_r, cell.split_gates),
            units={**{n: self.units[n] for n in cell.units}, **constants},
            norm_x=self.norm_x,
            norm_r=norm_r,
            p=self.p,
        )

    def initial(self, batch: int) -> tuple[Tensor, ...]:
        """The states a sequence starts from, each [B, width]: the learned ones, zeros otherwise."""
        zeros = {n: self.w.new_zeros(batch, self.width(n)) for n in self.cell.state if n not in self.start}
        return self.cell.State(*(zeros[n] if n in zeros else self.start[n].expand(batch, -1) for n in self.cell.state))

    def _constant(self, name: str) -> Tensor:
        """A constant; told again where the layer was made without memory, for a state_dict does not bring it."""
        found = getattr(self, f"constant_{name}")
        if found.is_meta and not self.w.is_meta:
            found = vector(self.cell.constants[name], self.hidden).to(self.w)
            setattr(self, f"constant_{name}", found)
        return found

    def tell_constants(self) -> None:
        """Write the cell's constants into their memory."""
        for name, value in self.cell.constants.items():
            getattr(self, f"constant_{name}").copy_(vector(value, self.hidden))

    def _full(self, b: Tensor | None, biased: Sequence[str], gates: Sequence[str]) -> Tensor | None:
        """A bias for every gate, zero where a gate has none."""
        if b is None or len(biased) == len(gates):
            return b
        widths = [self.cell.width(q, self.hidden) for q in gates]
        parts = iter(b.split([n for q, n in zip(gates, widths, strict=True) if q in biased]))
        return torch.cat([next(parts) if q in biased else b.new_zeros(n) for q, n in zip(gates, widths, strict=True)])


def vector(value: Vector, units: int) -> Tensor:
    """A number for every unit, or what a function of their number gives."""
    if not callable(value):
        return torch.full((units,), float(value))
    found = value(units)
    if tuple(found.shape) != (units,):
        raise ValueError(f"a function of the number of units gave {list(found.shape)} values for {units} units")
    return found
