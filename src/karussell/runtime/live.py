"""Recordings while they happen: exact for causal models, in overlapping chunks for all others."""

import numpy as np

from karussell.errors import InputError
from karussell.runtime.decode import Greedy, Label
from karussell.runtime.plan import Plan
from karussell.runtime.stream import Engine, Posteriors


class LiveStream:
    """A causal model on a recording that is going on: what it says in the end is what it says of the whole."""

    def __init__(self, engine: Engine) -> None:
        self._rows = Posteriors(engine, 0)
        self._greedy = _greedy(engine.plan)
        self.latency = engine.plan.lookahead
        """Seconds from the middle of a step to the last sample that its answer needs."""

    def push(self, samples: np.ndarray) -> list[Label]:
        """Take samples [n] at the model's rate, in [-1, 1], and give the labels that have ended."""
        return self._greedy.push(self._rows.push(samples))

    def finish(self) -> list[Label]:
        """Say that the recording has ended, and take the last labels."""
        return self._greedy.push(self._rows.finish()) + self._greedy.finish()


class ChunkedStream:
    """A model that needs the whole, run on pieces of a recording that is going on."""

    def __init__(self, engine: Engine, chunk: float, left: float, right: float) -> None:
        plan = engine.plan
        if not (0 < chunk <= 60 and 0 <= left <= 60 and 0 <= right <= 60):
            raise InputError(
                f"stream: chunk {chunk:g}, left {left:g}, right {right:g}; needed 0 to 60 s, chunk above 0"
            )
        self._engine, self._greedy = engine, _greedy(plan)
        self._step = plan.bank.hop * plan.subsampling
        # whole steps, so that those of a piece lie where those of the recording lie
        self._chunk, self._left, self._right = (round(s * plan.bank.rate / self._step) for s in (chunk, left, right))
        self._chunk = max(1, self._chunk)
        self._kept = np.zeros(0, np.float32)
        # the step at which what is kept begins, and the one that is answered for next
        self._first = self._next = 0
        self._ended = False
        self.latency = (self._chunk + self._right) * plan.step_seconds
        """Seconds that an answer may wait for."""

    def push(self, samples: np.ndarray) -> list[Label]:
        """Take samples [n] at the model's rate, in [-1, 1], and give the labels that have ended."""
        if self._ended:
            raise RuntimeError("push after finish; make a new stream")
        x = np.ascontiguousarray(samples, np.float32)
        if x.ndim != 1 or not np.isfinite(x).all():
            raise InputError("stream: samples must be one row of numbers, [n]")
        self._kept = np.concatenate([self._kept, x])
        found: list[Label] = []
        while (self._next + self._chunk + self._right - self._first) * self._step <= len(self._kept):
            end = self._next + self._chunk
            found += self._answer(end, (end + self._right - self._first) * self._step)
            drop = max(0, self._next - self._left - self._first)
            self._kept, self._first = self._kept[drop * self._step :], self._first + drop
        return found

    def finish(self) -> list[Label]:
        """Say that the recording has ended, and take the last labels."""
        if self._ended:
            return []
        self._ended = True
        found = self._answer(None, len(self._kept)) if len(self._kept) else []
        return found + self._greedy.finish()

    def _answer(self, end: int | None, samples: int) -> list[Label]:
        """The labels of the steps up to `end`, heard with the first so many of the kept samples."""
        rows = self._engine.posteriors(self._kept[:samples])
        mine = rows[self._next - self._first : None if end is None else end - self._first]
        self._next += len(mine)
        return self._greedy.push(mine)


def _greedy(plan: Plan) -> Greedy:
    return Greedy(plan.symbols, plan.blank, plan.step_seconds)
