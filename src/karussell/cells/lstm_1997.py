"""The LSTM of 1997, exactly (Hochreiter & Schmidhuber, Neural Computation 9(8), appendix).

    net_q   = W_q x_t + R_q [y_c, y_in, y_out](t-1) + b_q                  for q = c, in, out: gates are fed back
    y_in    = sigmoid(net_in),  y_out = sigmoid(net_out)                   one each a memory block
    s_c(t)  = s_c(t-1) + y_in g(net_c),           g(x) = 4 sigmoid(x) - 2  in [-2, 2]
    y_c     = y_out h(s_c),                       h(x) = 2 sigmoid(x) - 1  in [-1, 1]

No forget gate: the carousel's own weight is 1.0. `LSTM1997.with_blocks(S)` makes memory blocks of S cells that share
their two gates. Only the network is given here, with its exact gradient; the paper's learning rule truncates it.
"""

import torch
from torch import Tensor

from karussell.cells.cell import Cell


def _lstm_1997(i: Tensor, g: Tensor, o: Tensor, s: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    y_in, y_out = torch.sigmoid(i), torch.sigmoid(o)
    s = s + y_in * (4 * torch.sigmoid(g) - 2)
    return y_out * (2 * torch.sigmoid(s) - 1), s, y_in, y_out


LSTM1997 = Cell(
    "lstm_1997",
    state=("h", "s", "y_in", "y_out"),
    gates=("i", "g", "o"),
    step=_lstm_1997,
    sees=("h", "y_in", "y_out"),
    shared=("i", "o", "y_in", "y_out"),
)
"""The original LSTM: scaled sigmoids, no forget gate, gates fed back; state (h, s, y_in, y_out)."""
