"""One step at a time on the compiled engine: weights packed once, state in place, nothing allocated a step."""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from karussell.cells import Cell
from karussell.errors import EngineError
from karussell.ops import native
from karussell.ops.noise import Noise
from karussell.ops.recurrence import cpp
from karussell.ops.recurrence.call import KIND
from karussell.ops.recurrence.door import check_weights, given_state
from karussell.ops.recurrence.invoke import Inputs, prepare
from karussell.ops.recurrence.options import Options
from karussell.ops.recurrence.request import Request
from karussell.ops.recurrence.weights import Weights, dense
from karussell.program import program


class Stepper:
    """A cell with its weights and a state, run step by step: y = stepper(x), x [B, I], y [B, H].

    The weights are those of the moment it was made. `y` and `state` are the stepper's own memory: what the next step
    overwrites, and what may be written to set the state. Not for use by several threads at once.
    """

    def __init__(self, cell: Cell, weights: Weights, batch: int, state: Sequence[Tensor] | None = None) -> None:
        with torch.no_grad():
            like = weights.w
            x = like.new_zeros(1, batch, like.shape[1])
            hidden, sizes = check_weights(cell, x, weights)
            given = given_state(cell, "state", state, x, sizes, hidden)
            options, flat = Options(), dense(cell, weights, hidden)
            q = Request(cell, x, flat, hidden, given, None, None, None, {}, False, options, Noise(0, 0), False, False)
            reason = cpp.why_not(q) if not cell.inputs else "it takes no per-step inputs one step at a time"
            if reason is not None:
                raise EngineError(f"stepper: the compiled engine cannot run this: {reason}. Call the layer with T = 1")
            p = program(cell)
            memory = tuple(t.clone().contiguous() for t in q.full(given).values())
            tensors = cpp.flatten(q._replace(state=dict(zip(p.states, memory, strict=True))), p)
            inputs = Inputs.of(p, [None if t is None else t.detach().contiguous() for t in tensors])
            self.state = cell.State(*memory)
            self.y = x.new_zeros(batch, hidden)
            self._shape, self._dtype = torch.Size((batch, like.shape[1])), like.dtype
            self._call, self._alive = prepare(q, p, inputs, backward=False)
            self._call.threads, self._call.by_units = 1, 0
            for s, tensor in enumerate(memory):
                self._call.final[s] = tensor.data_ptr()
            self._call.history[0] = self.y.data_ptr()
            self._keep = inputs
            self._run = getattr(native.load(p, KIND[like.dtype]), f"{KIND[like.dtype]}_forward")
            self._at = ctypes.byref(self._call)
            # the first call packs the weights; the state it makes is thrown away
            before = [t.clone() for t in memory]
            self._run(self._at)
            self._call.pack = 0
            for tensor, value in zip(memory, before, strict=True):
                tensor.copy_(value)

    def __call__(self, x: Tensor) -> Tensor:
        """One step; the output stays the stepper's memory until the next one."""
        if x.shape != self._shape or x.dtype is not self._dtype or not x.is_contiguous():
            raise ValueError(
                f"stepper: x is {list(x.shape)} {x.dtype}{'' if x.is_contiguous() else ', not contiguous'}; it must be "
                f"[B, I] = {list(self._shape)} {self._dtype}, contiguous"
            )
        self._call.x = x.data_ptr()
        self._run(self._at)
        return self.y
