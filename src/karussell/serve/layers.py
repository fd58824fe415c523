"""Any recurrent module as plain arrays: what every exporter starts from."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

from karussell.cells import Cell
from karussell.errors import InputError
from karussell.nn import GRU, LSTM, RNN, Recurrent, drop_in
from karussell.ops import Weights
from karussell.ops.recurrence.weights import dense


@dataclass(frozen=True)
class Direction:
    """One layer in one direction, dense and float32: every gate and state H wide, R a plain matrix a stage."""

    w: np.ndarray
    r: tuple[np.ndarray, ...]
    b: np.ndarray | None
    b_r: np.ndarray | None
    units: Mapping[str, np.ndarray]
    norm_x: np.ndarray | None
    norm_r: tuple[np.ndarray, ...] | None
    p: np.ndarray | None
    start: Mapping[str, np.ndarray]
    """Learned initial states, [width]; those that are not there are zero."""


@dataclass(frozen=True)
class Layers:
    """Layers of one cell, `directions` of them side by side in each."""

    cell: Cell
    inputs: int
    hidden: int
    directions: int
    parts: tuple[Direction, ...]
    """Layer after layer, forwards before backwards: the rows of the state."""
    residual: bool = False
    zoneout: Mapping[str, float] | None = None
    projection: int = 0

    @property
    def count(self) -> int:
        """The number of layers."""
        return len(self.parts) // self.directions

    @property
    def width(self) -> int:
        """What one direction gives a step."""
        return self.projection or self.hidden

    def state_width(self, name: str) -> int:
        """Units of a state as it goes in and out."""
        return self.width if name == self.cell.state[0] else self.cell.width(name, self.hidden)


@torch.no_grad()
def layers_of(module: Module) -> Layers:
    """The weights of a `karussell.nn` or `torch.nn` recurrent module, in evaluation; InputError for any other."""
    module = ours(module)
    if isinstance(module, Recurrent):
        weights = [layer.weights() for layer in module.layers]  # type: ignore[operator]
        starts = [dict(layer.start.items()) for layer in module.layers]  # type: ignore[operator, union-attr]
        cell, inputs, hidden = module.cell, module.input_size, module.hidden_size
        more = (module.residual, module.zoneout, module.proj_size)
        directions = module.directions
    elif isinstance(module, LSTM | GRU | RNN):
        plan = module._plan
        weights = [drop_in.layer_weights(module, plan, suffix) for suffix in plan.names]
        starts = [{} for _ in weights]
        cell, inputs, hidden, directions = plan.cell, plan.input_size, plan.hidden_size, plan.directions
        more = (False, {}, plan.proj_size)
    else:
        raise InputError(f"export: {type(module).__name__} is no recurrent layer; give one of karussell.nn or torch.nn")
    parts = tuple(_direction(cell, hidden, w, s) for w, s in zip(weights, starts, strict=True))
    return Layers(cell, inputs, hidden, directions, parts, *more)


def ours(module: Module) -> Module:
    """torch's LSTM, GRU or RNN as ours, with its weights; any other module as it is."""
    if not isinstance(module, torch.nn.LSTM | torch.nn.GRU | torch.nn.RNN):
        return module
    kind = {torch.nn.LSTM: LSTM, torch.nn.GRU: GRU, torch.nn.RNN: RNN}[type(module)]
    more = {"nonlinearity": module.nonlinearity} if isinstance(module, torch.nn.RNN) else {}
    more |= {"proj_size": module.proj_size} if isinstance(module, torch.nn.LSTM) else {}
    sizes = (module.input_size, module.hidden_size, module.num_layers)
    found = kind(*sizes, bias=module.bias, bidirectional=module.bidirectional, dtype=torch.float32, **more)
    found.load_state_dict(module.state_dict())
    return found


def _direction(cell: Cell, hidden: int, weights: Weights, start: Mapping[str, Tensor]) -> Direction:
    flat = dense(cell, weights, hidden)
    several = None if flat.norm_r is None else tuple(_array(v) for v in flat.norm_r)
    return Direction(
        w=_array(flat.w),
        r=tuple(_array(r) for r in flat.r),
        b=None if flat.b is None else _array(flat.b),
        b_r=None if flat.b_r is None else _array(flat.b_r),
        units={n: _array(v) for n, v in flat.units.items()},
        norm_x=None if flat.norm_x is None else _array(flat.norm_x),
        norm_r=several,
        p=None if flat.p is None else _array(flat.p),
        start={n: _array(v) for n, v in start.items()},
    )


def _array(value: Tensor) -> np.ndarray:
    return value.detach().to("cpu", torch.float32).contiguous().numpy()
