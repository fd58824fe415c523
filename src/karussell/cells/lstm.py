"""Long short-term memory with forget gates, and with peepholes.

    i, f, g, o = W x_t + R h_(t-1) + b
    c_t = sigmoid(f) * c_(t-1) + sigmoid(i) * tanh(g)
    h_t = sigmoid(o) * tanh(c_t)

is Gers, Schmidhuber & Cummins 2000, in the form of `torch.nn.LSTM`. The peephole LSTM (Gers, Schraudolph &
Schmidhuber 2002) lets the gates see the cell: i and f see p_i * c_(t-1) and p_f * c_(t-1), o sees p_o * c_t. Here
it has tanh before and after the cell, as in Graves & Schmidhuber 2005 and every later system; the paper left both out.
"""

import torch
from torch import Tensor

from karussell.cells.cell import Cell

State2 = tuple[Tensor, Tensor]


def _lstm(i: Tensor, f: Tensor, g: Tensor, o: Tensor, c: Tensor, drop: float = 1.0) -> State2:
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g) * drop
    return torch.sigmoid(o) * torch.tanh(c), c


def _peephole(
    i: Tensor,
    f: Tensor,
    g: Tensor,
    o: Tensor,
    c: Tensor,
    p_i: Tensor,
    p_f: Tensor,
    p_o: Tensor,
    drop: float = 1.0,
) -> State2:
    c = torch.sigmoid(f + p_f * c) * c + torch.sigmoid(i + p_i * c) * torch.tanh(g) * drop
    return torch.sigmoid(o + p_o * c) * torch.tanh(c), c


LSTM = Cell("lstm", state=("h", "c"), gates=("i", "f", "g", "o"), step=_lstm, shared=("i", "f", "o"))
"""The LSTM of Gers, Schmidhuber & Cummins 2000; `torch.nn.LSTM`."""

PeepholeLSTM = Cell(
    "peephole_lstm",
    state=("h", "c"),
    gates=("i", "f", "g", "o"),
    step=_peephole,
    units={"p_i": 0.0, "p_f": 0.0, "p_o": 0.0},
)
"""The LSTM whose gates see their cell; the vanilla LSTM of the Search Space Odyssey."""
