"""One step of one layer as a module: drop-ins for `torch.nn.LSTMCell`, `torch.nn.GRUCell` and `torch.nn.RNNCell`.

Same arguments, weight names, initial values for a seed, shapes and errors as torch's. The step is a recurrence of
length one, so that what a layer computes and what its cell computes are the same arithmetic.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Module, Parameter

import karussell.cells as cells
from karussell.nn.drop_in import fold_biases, reset
from karussell.nn.stack import full_precision
from karussell.ops import Engine, Weights, recurrence

Device = torch.device | str | int | None
_CELLS = {"tanh": cells.RNN, "relu": cells.ReLURNN}


class LSTMCell(Module):
    """One step of an LSTM (`cells.LSTM`): (x [B, I] or [I], (h, c)) -> (h, c)."""

    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        engine: Engine | str = Engine.auto,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        self.engine = Engine(engine)
        _declare(self, 4 * hidden_size, input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The next (h, c); zeros stand for states that are not given."""
        if isinstance(hx, Tensor):
            raise TypeError("LSTMCell: hx is one tensor; it must be the tuple (h_0, c_0)")
        h, c = _step(self, "LSTMCell", cells.LSTM, input, hx, self.engine)
        return h, c

    def reset_parameters(self) -> None:
        """Draw all weights anew, uniform between -1/sqrt(H) and 1/sqrt(H)."""
        reset(self, self.hidden_size)

    def extra_repr(self) -> str:
        """The sizes, as torch prints them."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class GRUCell(Module):
    """One step of a GRU (`cells.GRU`): (x [B, I] or [I], h) -> h."""

    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        engine: Engine | str = Engine.auto,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        self.engine = Engine(engine)
        _declare(self, 3 * hidden_size, input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next h; zeros stand for a state that is not given."""
        return _step(self, "GRUCell", cells.GRU, input, None if hx is None else (hx,), self.engine)[0]

    def reset_parameters(self) -> None:
        """Draw all weights anew, uniform between -1/sqrt(H) and 1/sqrt(H)."""
        reset(self, self.hidden_size)

    def extra_repr(self) -> str:
        """The sizes, as torch prints them."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(Module):
    """One step of Elman's net (`cells.RNN` or `cells.ReLURNN`): (x [B, I] or [I], h) -> h."""

    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        engine: Engine | str = Engine.auto,
    ) -> None:
        super().__init__()
        if nonlinearity not in _CELLS:
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        self.nonlinearity = nonlinearity
        self.engine = Engine(engine)
        _declare(self, hidden_size, input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next h; zeros stand for a state that is not given."""
        given = None if hx is None else (hx,)
        return _step(self, "RNNCell", _CELLS[self.nonlinearity], input, given, self.engine)[0]

    def reset_parameters(self) -> None:
        """Draw all weights anew, uniform between -1/sqrt(H) and 1/sqrt(H)."""
        reset(self, self.hidden_size)

    def extra_repr(self) -> str:
        """The sizes, as torch prints them."""
        line = f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")
        return line + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


def _declare(
    module: Module, rows: int, inputs: int, hidden: int, bias: bool, device: Device, dtype: torch.dtype | None
) -> None:
    shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, hidden), "bias_ih": (rows,), "bias_hh": (rows,)}
    for name, shape in shapes.items():
        absent = name.startswith("bias") and not bias
        module.register_parameter(name, None if absent else Parameter(torch.empty(shape, device=device, dtype=dtype)))
    reset(module, hidden)


def _step(
    module: Module, name: str, cell: cells.Cell, x: Tensor, hx: Sequence[Tensor] | None, engine: Engine
) -> tuple[Tensor, ...]:
    """One step; the states as they came, with or without the batch."""
    if x.dim() not in (1, 2):
        raise ValueError(f"{name}: Expected input to be 1D or 2D, got {x.dim()}D instead")
    w, r = module.weight_ih, module.weight_hh
    assert isinstance(w, Tensor)
    assert isinstance(r, Tensor)
    if x.shape[-1] != w.shape[1]:
        raise RuntimeError(f"{name}: input has inconsistent input_size: got {x.shape[-1]} expected {w.shape[1]}")
    batched = x.dim() == 2
    x = x if batched else x[None]
    state = None
    if hx is not None:
        state = [_given(name, h, k, x, batched, r.shape[1]) for k, h in enumerate(hx)]
    with full_precision(x) as cast:
        x, state = cast(x, w.dtype), None if state is None else [cast(h, w.dtype) for h in state]
        b_ih, b_hh = module.bias_ih, module.bias_hh
        b, b_r = (None, None) if b_ih is None or b_hh is None else fold_biases(cell, b_ih, b_hh)  # type: ignore[arg-type]
        found = recurrence(cell, x[None], Weights(w, (r,), b, b_r), state, engine=engine).state
    return tuple(s if batched else s[0] for s in found)


def _given(name: str, h: Tensor, k: int, x: Tensor, batched: bool, hidden: int) -> Tensor:
    if h.dim() not in (1, 2):
        raise ValueError(f"{name}: Expected hx[{k}] to be 1D or 2D, got {h.dim()}D instead")
    h = h if batched or h.dim() == 2 else h[None]
    if tuple(h.shape) != (x.shape[0], hidden):
        raise RuntimeError(
            f"{name}: hidden{k} has inconsistent shape: got {list(h.shape)}, expected {[x.shape[0], hidden]} = "
            "[batch of the input, hidden_size]"
        )
    return h
