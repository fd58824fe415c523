"""The same tasks with today's training: any cell of the library, exact gradients, Adam."""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from karussell.cells import Cell
from karussell.data.problems import Sequences
from karussell.landmarks.window import Learned, Window, until
from karussell.nn import Recurrent
from karussell.train.randomness import keyed

Loss = Literal["binary", "square", "classes"]


class Net(torch.nn.Module):
    """A recurrent layer and a linear read-out of every step."""

    def __init__(
        self,
        cell: Cell,
        inputs: int,
        hidden: int,
        outputs: int,
        seed: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        gate_bias: Mapping[str, float] | None = None,
        engine: str = "auto",
    ) -> None:
        super().__init__()
        with keyed(torch.device("cpu"), seed, 1):
            self.layer = Recurrent(
                cell, inputs, hidden, layers, bidirectional=bidirectional, gate_bias=gate_bias, engine=engine
            )
            self.out = torch.nn.Linear(self.layer.output_size, outputs)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """What the net says at every step, [T, B, K], before any squashing."""
        return self.out(self.layer(x, lengths=lengths)[0])

    @property
    def weights(self) -> int:
        """How many weights there are."""
        return sum(p.numel() for p in self.parameters())


def said(z: Tensor, loss: Loss) -> Tensor:
    """What the errors of a criterion are counted on: sigmoid, identity or softmax of the read-out."""
    return {"binary": torch.sigmoid, "square": lambda v: v, "classes": lambda v: v.softmax(-1)}[loss](z)


def penalty(z: Tensor, target: Tensor, loss: Loss) -> Tensor:
    """The mean loss over targets [D, K]: cross-entropy of independent bits, of classes, or half the squared error."""
    if loss == "binary":
        return torch.nn.functional.binary_cross_entropy_with_logits(z, target)
    if loss == "classes":
        return torch.nn.functional.cross_entropy(z, target)
    return 0.5 * (z - target).square().mean()


def read(net: torch.nn.Module, sequences: Sequences, loss: Loss) -> np.ndarray:
    """The outputs at the steps that are due, in the order of the sequences' targets."""
    padded = sequences.padded()
    with torch.no_grad():
        z = said(net(torch.from_numpy(padded.x), torch.from_numpy(padded.lengths)), loss)
    rows = np.nonzero(padded.due.T)
    return z.numpy().transpose(1, 0, 2)[rows].astype(np.float64)


def train(
    net: torch.nn.Module,
    draw: Callable[[], Sequences],
    cap: int,
    strict: Callable[[Window], bool],
    reached: Callable[[Window], bool] | None = None,
    *,
    loss: Loss = "binary",
    rate: float = 2e-3,
    clip: float = 1.0,
    size: int = 2000,
) -> Learned:
    """Adam on batches as `draw` gives them, to a criterion on errors from before each update, or to the cap."""
    optimiser = torch.optim.Adam(net.parameters(), lr=rate)

    def step() -> tuple[np.ndarray, np.ndarray]:
        batch = draw()
        padded = batch.padded()
        z = net(torch.from_numpy(padded.x), torch.from_numpy(padded.lengths)).transpose(0, 1)
        due = torch.from_numpy(padded.due.T)
        z, target = z[due], torch.from_numpy(padded.targets).transpose(0, 1)[due]
        optimiser.zero_grad()
        penalty(z, target, loss).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimiser.step()
        y = said(z.detach(), loss).double().numpy()
        return batch.worst(y), batch.mean(y)

    return until(step, cap, strict, reached, size=size)
