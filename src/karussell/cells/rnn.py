"""Plain recurrent nets: one gate, one state.

h_t = phi(W x_t + R h_(t-1) + b)                          Elman 1990, phi = tanh or max(0, .)
h_t = max(0, W x_t + u * h_(t-1) + b)                     IndRNN, Li et al. 2018: a weight a unit instead of R
"""

import torch
from torch import Tensor

from karussell.cells.cell import Cell


def _tanh(a: Tensor) -> Tensor:
    return torch.tanh(a)


def _relu(a: Tensor) -> Tensor:
    return torch.relu(a)


def _independent(a: Tensor, h: Tensor, u: Tensor) -> Tensor:
    return torch.relu(a + u * h)


def _recurrent_weights(hidden: int) -> Tensor:
    # the paper draws them from [0, 1] so that units remember over different spans; a grid needs no generator
    return torch.linspace(0.0, 1.0, hidden)


RNN = Cell("rnn", state=("h",), gates=("a",), step=_tanh)
"""Elman's net with tanh; `torch.nn.RNN(nonlinearity="tanh")`."""

ReLURNN = Cell("relu_rnn", state=("h",), gates=("a",), step=_relu)
"""Elman's net with rectified units; `torch.nn.RNN(nonlinearity="relu")`."""

IndRNN = Cell("indrnn", state=("h",), gates=("a",), step=_independent, sees=(), units={"u": _recurrent_weights})
"""Independently recurrent net: every unit sees only its own past."""
