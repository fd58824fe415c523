"""The plain recurrent layer, a drop-in for `torch.nn.RNN`.

Same arguments, weight names, order, initial values for a seed, `state_dict`, shapes and state as torch's; besides,
`lengths` of padded rows, and the choice of the engine. A row's length costs neither sorting nor packing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Module, Parameter
from torch.nn.utils.rnn import PackedSequence

import karussell.cells as cells
from karussell.nn import drop_in
from karussell.nn.stepper import Stepper
from karussell.ops import Engine

_CELLS = {"tanh": cells.RNN, "relu": cells.ReLURNN}


class RNN(Module):
    """Layers of Elman's net (`cells.RNN`, or `cells.ReLURNN`), drop-in for `torch.nn.RNN`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
        engine: Engine | str = Engine.auto,
    ) -> None:
        super().__init__()
        if proj_size:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if nonlinearity not in _CELLS:
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        self.nonlinearity = nonlinearity
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self.engine = Engine(engine)
        self._plan = drop_in.Plan(
            "RNN", _CELLS[nonlinearity], input_size, hidden_size, num_layers, bias, bidirectional, proj_size
        )
        drop_in.declare(self, self._plan, batch_first, dropout, device, dtype)
        self.dropout = float(dropout)

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """The output [T, B, D * H] and the final state h, [layers * D, B, width]; D = 2 with both directions.

        input    [T, B, I], [B, T, I] with batch_first, [T, I] for one sequence, or a PackedSequence; so is the output
        hx       the initial state h; zeros if not given
        lengths  [B] valid steps of each padded row: outputs beyond are zero, what stands there is never looked at
        """
        if hx is not None and not isinstance(hx, Tensor):
            raise TypeError(f"RNN: hx is a {type(hx).__name__}; it must be one tensor, h_0")
        output, states = drop_in.run(
            self,
            self._plan,
            input,
            None if hx is None else (hx,),
            lengths,
            batch_first=self.batch_first,
            dropout=self.dropout,
            engine=self.engine,
        )
        return output, states[0]

    def reset_parameters(self) -> None:
        """Draw all weights anew, uniform between -1/sqrt(H) and 1/sqrt(H)."""
        drop_in.reset(self, self.hidden_size)

    def stepper(self, batch: int = 1) -> Stepper:
        """A compiled copy of this layer that takes one step at a time, x [batch, I], and keeps its state."""
        return drop_in.stepper(self, self._plan, batch)

    def flatten_parameters(self) -> None:
        """Do nothing: weights are read afresh at every call."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The weights, one list a layer and direction."""
        return [[getattr(self, n) for n in names.values()] for names in self._plan.names.values()]

    def extra_repr(self) -> str:
        """The sizes, as torch prints them."""
        return drop_in.extra_repr(self._plan, self.batch_first, self.dropout)
