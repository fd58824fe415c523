"""One recurrence to run: what the public function hands to an engine, checked."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from torch import Tensor

from karussell.cells import Cell
from karussell.ops.engine import Engine
from karussell.ops.noise import Noise
from karussell.ops.recurrence.options import Options
from karussell.ops.recurrence.weights import Weights

Recompute = Literal["none", "gates", "segments"]


class Request(NamedTuple):
    """Everything an engine needs. States are dense here: every one [B, H], the output [B, P] under a projection.

    x        [T, B, I]
    weights  dense (see weights.dense)
    state    by name; None for zeros
    lengths  [B] int64 or None
    resets   [T, B] bool or None: the row starts anew before this step
    start    what a reset restores, by name; None for zeros
    inputs   per-step inputs by name, [T, B, 1] or [T, B, H]
    normed   whether the weights have layer norm's gains
    first    the time of step 0, by which masks are counted
    recompute  what backward makes again instead of finding it stored
    projected  P under a projection, else 0
    """

    cell: Cell
    x: Tensor
    weights: Weights
    hidden: int
    state: Mapping[str, Tensor] | None
    lengths: Tensor | None
    resets: Tensor | None
    start: Mapping[str, Tensor] | None
    inputs: Mapping[str, Tensor]
    reverse: bool
    options: Options
    noise: Noise
    every_state: bool
    every_gate: bool
    normed: bool = False
    first: int = 0
    recompute: Recompute = "none"
    projected: int = 0

    @property
    def plain(self) -> bool:
        """Whether there is nothing beside the cell's equations."""
        return self.resets is None and self.options.plain and not self.normed and not self.projected

    @property
    def output(self) -> int:
        """Units of the output, the first state."""
        return self.projected or self.hidden

    def full(self, state: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        """The state given, or zeros."""
        if state is not None:
            return dict(state)
        batch, first = self.x.shape[1], self.cell.state[0]
        output = self.hidden if self.weights.p is None else self.weights.p.shape[0]
        return {n: self.x.new_zeros(batch, output if n == first else self.hidden) for n in self.cell.state}


class Answer(NamedTuple):
    """What an engine gives back: y [T, B, H or P]; the final state; states and gates at every step, or None."""

    y: Tensor
    state: dict[str, Tensor]
    states: dict[str, Tensor] | None = None
    gates: dict[str, Tensor] | None = None


class Result(NamedTuple):
    """The outputs of a recurrence.

    y       [T, B, H], or [T, B, P] under a projection; zero beyond a row's length
    state   the state after each row's last valid step, a NamedTuple of [B, width]
    states  the state after every step, a NamedTuple of [T, B, width]; None unless asked for
    gates   the pre-activations W x + R h + b of every gate, [T, B, width] by name; None unless asked for
    engine  which engine ran
    """

    y: Tensor
    state: tuple[Tensor, ...]
    states: tuple[Tensor, ...] | None
    gates: dict[str, Tensor] | None
    engine: Engine
