"""minGRU and minLSTM (Feng et al. 2024, "Were RNNs all we needed?"): gates that do not see the past.

    minGRU    z = sigmoid(W_z x_t + b_z),  h_t = (1 - z) * h_(t-1) + z * (W_n x_t + b_n)
    minLSTM   f, i = sigmoid(.),  f' = f / (f + i),  i' = i / (f + i),  h_t = f' * h_(t-1) + i' * (W_n x_t + b_n)

The update is affine in h, so it may run as a parallel scan. Here is the plain form of the paper's appendix; its
log-space form, which also passes the candidate through a positive function, is another cell.
"""

import torch
from torch import Tensor

from karussell.cells.cell import Cell


def _min_gru(z: Tensor, n: Tensor, h: Tensor, drop: float = 1.0) -> Tensor:
    z = torch.sigmoid(z)
    return (1 - z) * h + z * n * drop


def _min_lstm(f: Tensor, i: Tensor, n: Tensor, h: Tensor, drop: float = 1.0) -> Tensor:
    f, i = torch.sigmoid(f), torch.sigmoid(i)
    return f / (f + i) * h + i / (f + i) * n * drop


MinGRU = Cell("min_gru", state=("h",), gates=("z", "n"), step=_min_gru, sees=())
"""minGRU."""

MinLSTM = Cell("min_lstm", state=("h",), gates=("f", "i", "n"), step=_min_lstm, sees=())
"""minLSTM."""
