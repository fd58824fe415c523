"""The LSTM layer, a drop-in for `torch.nn.LSTM`.

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


class LSTM(Module):
    """Layers of LSTM (Gers, Schmidhuber & Cummins 2000; `cells.LSTM`), drop-in for `torch.nn.LSTM`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        engine: Engine | str = Engine.auto,
    ) -> None:
        super().__init__()
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
            "LSTM", cells.LSTM, input_size, hidden_size, num_layers, bias, bidirectional, proj_size
        )
        drop_in.declare(self, self._plan, batch_first, dropout, device, dtype)
        self.dropout = float(dropout)

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: tuple[Tensor, Tensor] | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, Tensor]]:
        """The output [T, B, D * H] and the final states (h, c), [layers * D, B, width]; D = 2 with both directions.

        input    [T, B, I], [B, T, I] with batch_first, [T, I] for one sequence, or a PackedSequence; so is the output
        hx       the initial states (h, c); zeros if not given
        lengths  [B] valid steps of each padded row: outputs beyond are zero, what stands there is never looked at
        """
        if hx is not None and (isinstance(hx, Tensor) or len(hx) != 2):
            came = "one tensor" if isinstance(hx, Tensor) else f"{len(hx)} tensors"
            raise TypeError(f"LSTM: hx is {came}; it must be the tuple (h_0, c_0)")
        output, states = drop_in.run(
            self,
            self._plan,
            input,
            hx,
            lengths,
            batch_first=self.batch_first,
            dropout=self.dropout,
            engine=self.engine,
        )
        return output, (states[0], states[1])

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
