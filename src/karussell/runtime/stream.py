"""Samples in as they come, log-posteriors out as they become certain."""

import ctypes

import numpy as np

from karussell.errors import InputError
from karussell.runtime.library import Model, library
from karussell.runtime.plan import Plan


class Engine:
    """A model ready to compute: its arrays where the C code finds them. Streams share it."""

    def __init__(self, plan: Plan) -> None:
        from karussell.runtime.library import fill

        self.plan, self.code = plan, library()
        self.model: Model
        self.model, self._kept = fill(plan)

    def posteriors(self, samples: np.ndarray) -> np.ndarray:
        """Log-posteriors [T', K] of a whole recording [N] at the model's rate."""
        stream = Posteriors(self, len(samples))
        return np.concatenate([stream.push(samples), stream.finish()])

    def from_features(self, x: np.ndarray) -> np.ndarray:
        """Log-posteriors [T', K] of normalised features [T, F] of a whole recording."""
        stream = Posteriors(self, len(x) * self.plan.bank.hop)
        return stream.features(x)


class Posteriors:
    """One recording on its way through the model, at most `longest` samples of it where something needs the whole."""

    def __init__(self, engine: Engine, longest: int) -> None:
        self._engine, plan = engine, engine.plan
        self._frames = (longest + plan.bank.hop) // plan.bank.hop + 1
        self._stream = ctypes.create_string_buffer(engine.code.stream_size())
        model = ctypes.byref(engine.model)
        size = engine.code.stream_start(self._stream, model, None, self._frames)
        self._memory = np.empty(size, np.float32)
        engine.code.stream_start(self._stream, model, self._memory.ctypes.data, self._frames)
        self._steps = 0
        self._ended = False
        hop = plan.bank.hop * plan.subsampling
        # a step for each hop, and those that the look-ahead held back
        self._rows = lambda samples: samples // hop + 2 + int(plan.lookahead / plan.step_seconds) + 1

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take samples [n] in [-1, 1] and give the rows [m, K] that are certain now, perhaps none."""
        if self._ended:
            raise RuntimeError("push after finish; make a new stream")
        x = np.ascontiguousarray(samples, np.float32)
        if x.ndim != 1:
            raise InputError(f"stream: samples are {list(x.shape)}; they must be one row, [n]")
        if not np.isfinite(x).all():
            raise InputError("stream: there are samples that are not numbers (NaN or infinite)")
        room = self._rows(len(x)) if self._engine.plan.streams else 0
        return self._call(self._engine.code.stream_push, room, x.ctypes.data, len(x))

    def features(self, x: np.ndarray) -> np.ndarray:
        """All rows of normalised features [T, F], which stand for the samples."""
        x = np.ascontiguousarray(x, np.float32)
        self._ended = True
        return self._call(self._engine.code.stream_features, len(x) + 1, x.ctypes.data, len(x))

    def finish(self) -> np.ndarray:
        """Say that the recording has ended, and take the last rows."""
        if self._ended:
            return np.empty((0, self._engine.plan.labels), np.float32)
        self._ended = True
        room = self._rows(0) if self._engine.plan.streams else self._frames
        return self._call(self._engine.code.stream_finish, room)

    def _call(self, function: "ctypes._NamedFuncPointer", room: int, *args: int) -> np.ndarray:
        rows = np.empty((room, self._engine.plan.labels), np.float32)
        count = function(self._stream, *args, rows.ctypes.data, room)
        if count < 0:
            raise InputError(f"stream: more came than the {self._frames} frames there is room for")
        return rows[:count]
