"""Gated recurrent units (Cho et al. 2014), with the reset gate after or before the recurrent product.

r, z = sigmoid(W x_t + R h_(t-1) + b)
n    = tanh(W_n x_t + b_n + r * (R_n h_(t-1) + b_rn))                  reset after: `torch.nn.GRU`, cuDNN
n    = tanh(W_n x_t + R_n (r * h_(t-1)) + b_n)                         reset before: the paper's
h_t  = (1 - z) * n + z * h_(t-1)
"""

import torch
from torch import Tensor

from karussell.cells.cell import Cell, Stage


def _after(r: Tensor, z: Tensor, n_x: Tensor, n_r: Tensor, h: Tensor, drop: float = 1.0) -> Tensor:
    z = torch.sigmoid(z)
    n = torch.tanh(n_x + torch.sigmoid(r) * n_r) * drop
    return (1 - z) * n + z * h


def _gates(r: Tensor, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    return torch.sigmoid(r) * h, torch.sigmoid(z)


def _candidate(n: Tensor, y_z: Tensor, h: Tensor, drop: float = 1.0) -> Tensor:
    return (1 - y_z) * torch.tanh(n) * drop + y_z * h


GRU = Cell("gru", state=("h",), gates=("r", "z", "n"), step=_after, split=("n",))
"""Reset-after GRU; `torch.nn.GRU`."""

GRUResetBefore = Cell(
    "gru_reset_before",
    state=("h",),
    stages=(
        Stage(("r", "z"), _gates, writes=("kept", "y_z")),
        Stage(("n",), _candidate, sees=("kept",)),
    ),
)
"""The GRU of Cho et al. 2014: two products, one after the other."""
