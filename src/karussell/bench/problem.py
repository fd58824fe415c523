"""What is timed: a cell, its sizes, and whether gradients are made; the data and the layers for it."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import Module

import karussell.nn as nn
from karussell.cells import GRU, LSTM, Cell
from karussell.ops import Engine, shapes

Run = Callable[[Module, Tensor, Tensor | None], tuple]
"""How a layer of ours is called: (layer, x, lengths) -> (output, final state)."""


def call_layer(layer: Module, x: Tensor, lengths: Tensor | None) -> tuple:
    """Call a layer as anybody would."""
    return layer(x) if lengths is None else layer(x, lengths=lengths)


def with_engine(layer: Module, engine: Engine) -> Module:
    """A copy of a layer of ours, with another engine forced."""
    made = copy.deepcopy(layer)
    made.engine = engine  # type: ignore[assignment]
    return made


@contextmanager
def same_numbers(seed: int = 0) -> Iterator[None]:
    """The same random numbers inside, and nothing changed outside."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@dataclass(frozen=True)
class Problem:
    """A layer of a cell on [T, B, I] with I = H. Ragged: lengths uniform in T/2..T. Training: all gradients.

    drop_in: the layer is nn.LSTM or nn.GRU where the cell has one, and not nn.Recurrent. Deep: two layers, each in
    both directions.
    """

    cell: Cell
    steps: int
    batch: int
    hidden: int
    training: bool
    ragged: bool = False
    drop_in: bool = True
    deep: bool = False

    @property
    def name(self) -> str:
        """The case in words, without the cell."""
        return f"T{self.steps} B{self.batch} H{self.hidden}"

    @property
    def products(self) -> int:
        """Weights that a step multiplies with: every one is a multiplication and an addition a row."""
        inputs = (self.hidden, self.hidden, 2 * self.hidden, 2 * self.hidden) if self.deep else (self.hidden,)
        needs = [shapes(self.cell, size, self.hidden) for size in inputs]
        return sum(rows * columns for need in needs for rows, columns in (need.w, *need.r))

    @property
    def flops(self) -> float:
        """Floating-point operations of all products; the backward makes two for every one of the forward."""
        lengths = self.lengths()
        rows = self.steps * self.batch if lengths is None else int(lengths.sum())
        return 2.0 * rows * self.products * (3 if self.training else 1)

    def lengths(self) -> Tensor | None:
        """Lengths of the rows, if they differ."""
        if not self.ragged:
            return None
        generator = torch.Generator().manual_seed(1)
        return torch.randint(self.steps // 2, self.steps + 1, (self.batch,), generator=generator)

    def x(self) -> Tensor:
        """The input [T, B, I]."""
        return torch.randn(self.steps, self.batch, self.hidden, generator=torch.Generator().manual_seed(2))

    def layer(self, engine: Engine) -> Module:
        """A layer of ours with random weights, the same for every engine."""
        with same_numbers():
            if self.drop_in and self.cell in (LSTM, GRU):
                made = nn.LSTM if self.cell == LSTM else nn.GRU
                return made(self.hidden, self.hidden, 1 + self.deep, bidirectional=self.deep, engine=engine)
            return nn.Recurrent(
                self.cell, self.hidden, self.hidden, 1 + self.deep, bidirectional=self.deep, engine=engine
            )

    def shorter(self, steps: int) -> "Problem":
        """The same with fewer steps."""
        return replace(self, steps=min(steps, self.steps))


def job(forward: Callable[[Tensor], Tensor], module: Module, x: Tensor, training: bool) -> Callable[[], object]:
    """What is timed: the forward under inference mode, or forward and backward to the input and all weights."""
    if not training:

        def infer() -> Tensor:
            with torch.inference_mode():
                return forward(x)

        return infer
    x = x.clone().requires_grad_()
    leaves = [x, *module.parameters()]
    with torch.no_grad():
        shape = forward(x).shape
    upstream = torch.randn(shape, generator=torch.Generator().manual_seed(3))

    def train() -> tuple[Tensor | None, ...]:
        return torch.autograd.grad(forward(x), leaves, upstream, allow_unused=True)

    return train
