"""Layers one step at a time: the stack of compiled steppers that `layer.stepper()` gives."""

from collections.abc import Sequence

from torch import Tensor

from karussell.cells import Cell
from karussell.ops import Stepper as Step
from karussell.ops import Weights


class Stepper:
    """y = stepper(x) for a stack of layers of one direction: x [B, I] in, y [B, H] out, the state kept in between.

    Made by `layer.stepper(batch)` from the layer's weights as they are then; in evaluation, without autograd. What it
    returns is its own memory, which the next step overwrites.
    """

    def __init__(
        self, cell: Cell, weights: Sequence[Weights], batch: int, initial: Sequence[Sequence[Tensor]] | None = None
    ) -> None:
        given = [None] * len(weights) if initial is None else initial
        self.layers = tuple(Step(cell, w, batch, state) for w, state in zip(weights, given, strict=True))
        self._initial = [[value.clone() for value in layer.state] for layer in self.layers]

    def __call__(self, x: Tensor) -> Tensor:
        """One step through all layers."""
        for layer in self.layers:
            x = layer(x)
        return x

    def reset(self) -> None:
        """Begin a new sequence: every state is the initial one again."""
        for layer, initial in zip(self.layers, self._initial, strict=True):
            for value, first in zip(layer.state, initial, strict=True):
                value.copy_(first)
