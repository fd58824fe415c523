"""Dropout whose masks cost a quarter of torch's on a CPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Dropout(nn.Module):
    """y = x m / (1 - p) in training, where m is 0 with probability p and 1 otherwise; y = x in evaluation.

    The same as torch.nn.Dropout (Srivastava et al. 2014). On a CPU each drawn number of 64 bits serves four units, so
    p is rounded to 1 / 65536 there; the masks follow torch.manual_seed, and differ from torch's.

        p  the probability, from 0 to below 1
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p is {p}; it is a probability, from 0 to below 1")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Any shape in, the same out."""
        limit = round(self.p * 65536)
        if not self.training or not limit:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return functional.dropout(x, self.p)
        count = x.numel()
        drawn = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        kept = drawn.view(torch.int16)[:count].view(x.shape) >= limit - 32768
        return x * kept.to(x.dtype).mul_(65536 / (65536 - limit))

    def extra_repr(self) -> str:
        """Shown by print."""
        return f"p={self.p}"
