"""The clockwork RNN (Koutnik, Greff, Gomez & Schmidhuber, ICML 2014).

The units stand in g modules with periods T_1 < ... < T_g. At step t (counted from 0)

    h_t = tanh(W x_t + R h_(t-1) + b)      in modules whose period divides t
    h_t = h_(t-1)                          in all others

and module i receives from module j only where T_j >= T_i: slow modules tell fast ones, never the reverse. The time is
a state, so that a sequence in pieces gives what the whole gives; it wraps at the least common multiple of the periods.
"""

import math

import torch
from torch import Tensor

from karussell.cells.cell import Cell


def clockwork(periods: tuple[int, ...] = (1, 2, 4, 8)) -> Cell:
    """A clockwork RNN whose units fall into as many equal modules as there are periods, fast ones first."""
    if not periods or list(periods) != sorted(set(periods)) or periods[0] < 1:
        raise ValueError(f"clockwork: periods must be positive and increasing, such as (1, 2, 4, 8), not {periods}")
    wrap = math.lcm(*periods)

    def period(hidden: int) -> Tensor:
        if hidden % len(periods):
            raise ValueError(f"clockwork: {hidden} units do not divide into {len(periods)} equal modules")
        return torch.tensor(periods, dtype=torch.get_default_dtype()).repeat_interleave(hidden // len(periods))

    def slow_to_fast(hidden: int) -> Tensor:
        p = period(hidden)
        return p[None, :] >= p[:, None]

    def step(a: Tensor, h: Tensor, t: Tensor, period: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.where(torch.remainder(t, period) == 0, torch.tanh(a), h)
        return h, torch.where(t + 1 >= wrap, torch.zeros_like(t), t + 1)

    return Cell(
        "clockwork_" + "_".join(map(str, periods)),
        state=("h", "t"),
        gates=("a",),
        step=step,
        constants={"period": period},
        mask=slow_to_fast,
    )


ClockworkRNN = clockwork()
"""The clockwork RNN with periods 1, 2, 4 and 8."""
