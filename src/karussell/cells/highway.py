"""The recurrent highway network (Zilly, Srivastava, Koutnik & Schmidhuber, ICML 2017).

L micro-layers a time step; l = 1 sees x_t as well. With s_0 = h_(t-1) and the carry gate coupled (1 - transform),

    a_l = tanh(W_a x_t [l = 1] + R_al s_(l-1) + b_al)
    t_l = sigmoid(W_t x_t [l = 1] + R_tl s_(l-1) + b_tl)
    s_l = a_l * t_l + s_(l-1) * (1 - t_l),           h_t = s_L
"""

import torch
from torch import Tensor

from karussell.cells.cell import Cell, Stage


def highway(depth: int) -> Cell:
    """A recurrent highway cell of `depth` micro-layers; gates a1, t1, a2, t2, ..."""
    if depth < 1:
        raise ValueError(f"highway: depth must be at least 1, not {depth}")
    stages = tuple(
        Stage((f"a{n}", f"t{n}"), _micro_layer, input=n == 1, takes=(f"a{n}", f"t{n}", "h"))
        for n in range(1, depth + 1)
    )
    return Cell(f"highway_{depth}", state=("h",), stages=stages)


def _micro_layer(a: Tensor, t: Tensor, h: Tensor) -> Tensor:
    t = torch.sigmoid(t)
    return torch.tanh(a) * t + h * (1 - t)


RecurrentHighway = highway(2)
"""A recurrent highway network of depth 2; `highway(L)` makes any depth."""
