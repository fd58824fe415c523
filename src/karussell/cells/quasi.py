"""QRNN and SRU: gates that see only the input, and a memory that they fill, in parallel over time if one likes.

    QRNN   c_t = f * c_(t-1) + (1 - f) * tanh(z),  h_t = o * c_t
    SRU    c_t = f * c_(t-1) + (1 - f) * z,        h_t = r * tanh(c_t) + (1 - r) * s

with f, o, r = sigmoid(W x_t + b). The QRNN (Bradbury, Merity, Xiong & Socher 2017, "Quasi-recurrent neural networks")
is that with fo-pooling; its convolution of width k over time is this cell on inputs of k steps side by side. The SRU is
that of the first version of Lei, Zhang, Wang, Dai & Artzi 2017 ("Training RNNs as fast as CNNs"), whose gates do not
see c; what its highway passes on is s = W_s x_t + b_s, as the authors' code has it where widths differ.
"""

import torch
from torch import Tensor

from karussell.cells.cell import Cell


def _qrnn(z: Tensor, f: Tensor, o: Tensor, c: Tensor, drop: float = 1.0) -> tuple[Tensor, Tensor]:
    f = torch.sigmoid(f)
    c = f * c + (1 - f) * torch.tanh(z) * drop
    return torch.sigmoid(o) * c, c


def _sru(z: Tensor, f: Tensor, r: Tensor, s: Tensor, c: Tensor, drop: float = 1.0) -> tuple[Tensor, Tensor]:
    f, r = torch.sigmoid(f), torch.sigmoid(r)
    c = f * c + (1 - f) * z * drop
    return r * torch.tanh(c) + (1 - r) * s, c


QRNN = Cell("qrnn", state=("h", "c"), gates=("z", "f", "o"), step=_qrnn, sees=())
"""The quasi-recurrent network with fo-pooling."""

SRU = Cell("sru", state=("h", "c"), gates=("z", "f", "r", "s"), step=_sru, sees=())
"""The simple recurrent unit, with a highway."""
