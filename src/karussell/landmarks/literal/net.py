"""The LSTM nets of 1997, 2000 and 2002 with the learning rule of their papers, run by compiled code.

Hochreiter & Schmidhuber, Neural Computation 9(8), 1997 (appendix A.1); Gers, Schmidhuber & Cummins, Neural Computation
12(10), 2000; Gers, Schraudolph & Schmidhuber, JMLR 3, 2002. Real-time recurrent learning inside the cell, error
truncated at the gates, online updates. `literal.cpp` has the equations. This is not how one trains an LSTM today:
the library's layers with exact gradients are; but several published figures are about this very algorithm.
"""

import ctypes
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

import numpy as np

from karussell.data.problems import Sequences
from karussell.native import Source, load

SQUASH = {"identity": 0, "logistic": 1, "wide": 2, "centred": 3}
LEARN = {"never": 0, "step": 1, "sequence": 2, "gradient": 3}


@dataclass(frozen=True)
class Shape:
    """One net; the defaults are those of most experiments of 1997."""

    inputs: int
    """Input units."""
    blocks: int
    """Memory blocks."""
    size: int
    """Cells a block."""
    outputs: int
    """Output units."""
    bias: str = "cgo"
    """Which units have one: c cells, g gates, o outputs."""
    input_gate: bool = True
    """Whether there are input gates."""
    forget_gate: bool = False
    """Whether there are forget gates (2000)."""
    output_gate: bool = True
    """Whether there are output gates."""
    feed_gates: bool = True
    """Whether hidden units see the gates of the step before, as in 1997."""
    recurrent: bool = True
    """Whether hidden units see the cells of the step before."""
    peepholes: bool = False
    """Whether gates see their block's states (2002)."""
    shortcuts: bool = False
    """Whether output units see the inputs."""
    g: Literal["wide", "logistic", "identity", "centred"] = "wide"
    """Squashes the cell input: wide is 4 sigmoid(x) - 2."""
    h: Literal["wide", "logistic", "identity", "centred"] = "centred"
    """Squashes the state: centred is 2 sigmoid(x) - 1."""
    out: Literal["logistic", "identity"] = "logistic"
    """Squashes the output units."""

    @property
    def cells(self) -> int:
        """C, all cells."""
        return self.blocks * self.size

    @property
    def gates(self) -> int:
        """G, all gates."""
        return self.blocks * (self.input_gate + self.forget_gate + self.output_gate)

    @property
    def columns(self) -> int:
        """N, what a hidden unit sees: inputs, cells, gates if they are fed back, bias."""
        return self.inputs + self.recurrent * (self.cells + self.feed_gates * self.gates) + 1

    def rows(self, kind: str) -> slice:
        """The rows of the hidden matrix of one kind: "cell", "in", "forget", "out"."""
        at = {"cell": 0, "in": self.cells}
        at["forget"] = at["in"] + self.blocks * self.input_gate
        at["out"] = at["forget"] + self.blocks * self.forget_gate
        return slice(at[kind], at[kind] + (self.cells if kind == "cell" else self.blocks))


class Parts(NamedTuple):
    """Views of one flat vector: hidden [C + G, N], peepholes [G, S], output [K, C + (I) + 1]."""

    hidden: np.ndarray
    peepholes: np.ndarray
    output: np.ndarray


class Trace(NamedTuple):
    """The states [steps, C] and the gates [steps, G] after every step of a run."""

    states: np.ndarray
    gates: np.ndarray


class LiteralLSTM:
    """A net, its weights and what it remembers between calls.

    weights   all of them, flat; `parts()` names them
    mask      1 where a weight exists, 0 where there is none; `count` is their number
    rate      the learning rate; `decay` multiplies it at every step, anew from the start of each sequence
    momentum  0 for none
    carry     what a state keeps from step to step in a net without forget gates: 1.0 is the carousel
    """

    def __init__(
        self,
        shape: Shape,
        seed: int,
        *,
        rate: float,
        init: float = 0.1,
        decay: float = 1.0,
        momentum: float = 0.0,
        carry: float = 1.0,
        cross_entropy: bool = False,
    ) -> None:
        self.shape, self.rate, self.decay, self.momentum, self.carry = shape, rate, decay, momentum, carry
        self.cross_entropy = cross_entropy
        rows = shape.cells + shape.gates
        self._sizes = (rows * shape.columns, shape.gates * shape.size * shape.peepholes)
        output = shape.outputs * (shape.cells + shape.inputs * shape.shortcuts + 1)
        self.mask = np.ones(sum(self._sizes) + output)
        hidden, _, out = self.parts(self.mask)
        hidden[shape.rows("cell"), -1] = "c" in shape.bias
        hidden[shape.cells :, -1] = "g" in shape.bias
        out[:, -1] = "o" in shape.bias
        rng = np.random.default_rng(seed)
        self.weights = rng.uniform(-init, init, self.mask.size) * self.mask
        self.velocity, self.gradient = np.zeros_like(self.weights), np.zeros_like(self.weights)
        per_cell = 3 * shape.columns + 2 * shape.size
        self._memory = np.zeros(2 * shape.cells + shape.gates + 1 + shape.cells * per_cell)

    @property
    def count(self) -> int:
        """How many weights there are."""
        return int(self.mask.sum())

    def parts(self, flat: np.ndarray | None = None) -> Parts:
        """The weights, or another vector of their size, by what they connect."""
        flat = self.weights if flat is None else flat
        shape, (hidden, peepholes) = self.shape, self._sizes
        return Parts(
            flat[:hidden].reshape(-1, shape.columns),
            flat[hidden : hidden + peepholes].reshape(-1, shape.size),
            flat[hidden + peepholes :].reshape(shape.outputs, -1),
        )

    def set_bias(self, kind: str, values: list[float] | tuple[float, ...] | float) -> None:
        """Start the biases of one kind of unit, "cell", "in", "forget" or "out", from these, one a block."""
        self.parts().hidden[self.shape.rows(kind), -1] = values

    def remove(self, kind: str, columns: slice) -> None:
        """Take away the weights from some columns to one kind of hidden unit."""
        self.parts(self.mask).hidden[self.shape.rows(kind), columns] = 0.0
        self.weights *= self.mask

    def gate_columns(self) -> slice:
        """The columns through which hidden units see the gates of the step before."""
        first = self.shape.inputs + self.shape.cells
        return slice(first, first + self.shape.gates)

    def run(
        self,
        sequences: Sequences,
        learn: Literal["never", "step", "sequence", "gradient"] = "step",
        *,
        fresh: np.ndarray | None = None,
    ) -> np.ndarray:
        """Show the sequences in their order; the outputs at the steps that are due [D, K], from before each update."""
        return Stream(self, sequences, fresh).advance(learn)[1]

    def trace(self, sequences: Sequences, *, fresh: np.ndarray | None = None) -> Trace:
        """Show the sequences without learning; every state and gate."""
        stream = Stream(self, sequences, fresh)
        steps = len(sequences.due)
        found = Trace(np.empty((steps, self.shape.cells)), np.empty((steps, self.shape.gates)))
        stream.advance("never", trace=found)
        return found

    def _net(self, learn: str, stop: float) -> "_Net":
        shape = self.shape
        flags = (shape.input_gate, shape.forget_gate, shape.output_gate, shape.feed_gates, shape.peepholes)
        kinds = (SQUASH[shape.g], SQUASH[shape.h], SQUASH[shape.out], self.cross_entropy, LEARN[learn])
        sizes = (shape.inputs, shape.blocks, shape.size, shape.outputs)
        whole = [*sizes, *flags, shape.shortcuts, shape.recurrent, *kinds, self.momentum > 0 and learn != "gradient"]
        numbers = (self.rate, self.decay, self.momentum, self.carry, stop)
        arrays = (self.weights, self.mask, self.velocity, self.gradient, self._memory)
        return _Net(*map(int, whole), *numbers, *(a.ctypes.data for a in arrays))


class Stream:
    """Sequences that are shown piece by piece; what the net remembers stays from piece to piece.

    `fresh` marks the steps before which the net forgets everything; the starts of the sequences if not given. The first
    step of a stream is always one, unless it `goes_on` with what the net remembers from the stream before and `fresh`
    does not name it.
    """

    def __init__(
        self, net: LiteralLSTM, sequences: Sequences, fresh: np.ndarray | None = None, *, goes_on: bool = False
    ) -> None:
        if sequences.inputs != net.shape.inputs or sequences.targets.shape[1] != net.shape.outputs:
            raise ValueError(
                f"LiteralLSTM: the sequences have {sequences.inputs} inputs and {sequences.targets.shape[1]} targets, "
                f"the net {net.shape.inputs} and {net.shape.outputs}"
            )
        self.net, self.sequences, steps = net, sequences, len(sequences.due)
        self._fresh = np.zeros(steps, np.uint8)
        self._fresh[sequences.starts[:-1] if fresh is None else fresh] = 1
        self._fresh[:1] |= not goes_on
        self._due = np.ascontiguousarray(sequences.due, np.uint8)
        self._rows = np.concatenate([[0], np.cumsum(self._due, dtype=np.int64)])
        self._targets = np.ascontiguousarray(sequences.targets, np.float64)
        self._x = None if sequences.x is None else np.ascontiguousarray(sequences.x, np.float64)
        self._symbols = None if sequences.symbols is None else np.ascontiguousarray(sequences.symbols, np.int32)
        self._y = np.empty_like(self._targets)

    def advance(
        self,
        learn: Literal["never", "step", "sequence", "gradient"],
        begin: int = 0,
        end: int | None = None,
        *,
        stop: float = float("inf"),
        trace: Trace | None = None,
    ) -> tuple[int, np.ndarray]:
        """Run the steps from `begin` on; the step after the last one that ran, and the outputs that were due.

        The run ends early after a step with |target - output| > `stop`, from which it has still learned.
        """
        end = len(self._due) if end is None else end
        if begin >= end:
            return end, self._y[:0]

        net, data = self.net._net(learn, stop), self._data(begin, end, trace)
        reached = int(_library().literal_run(ctypes.byref(net), ctypes.byref(data)))
        return reached, self._y[self._rows[begin] : self._rows[reached]]

    def streams(
        self, learn: Literal["never", "step"], marks: np.ndarray, *, stop: float, most: int | None = None
    ) -> np.ndarray:
        """Run stream after stream: each begins anew at the first of `marks` after the last one ended.

        A stream ends as `advance` does, or after `most` steps. Returned are their lengths.
        """
        steps = len(self._due)
        marks = np.ascontiguousarray(marks, np.int64)
        lengths = np.zeros(len(marks), np.int64)
        net, data = self.net._net(learn, stop), self._data(0, steps, None)
        count = _library().literal_streams(
            ctypes.byref(net), ctypes.byref(data), marks.ctypes.data, len(marks), most or steps, lengths.ctypes.data
        )
        return lengths[:count]

    def _data(self, begin: int, end: int, trace: Trace | None) -> "_Data":
        def address(array: np.ndarray | None) -> int | None:
            return None if array is None else array.ctypes.data

        states, gates = (None, None) if trace is None else trace
        arrays = (self._symbols, self._x, self._fresh, self._due, self._targets, self._rows, self._y, states, gates)
        return _Data(begin, end, *map(address, arrays))


@cache
def _library() -> ctypes.CDLL:
    text = files("karussell.landmarks.literal").joinpath("literal.cpp").read_text(encoding="utf-8")
    library = load(Source("literal", "the literal LSTM of 1997 cannot run", text))
    library.literal_run.argtypes = [ctypes.c_void_p] * 2
    library.literal_streams.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2 + [ctypes.c_void_p]
    library.literal_run.restype = library.literal_streams.restype = ctypes.c_int64
    return library


_WHOLE = (
    "inputs blocks size outputs input_gate forget_gate output_gate feed_gates peepholes shortcuts recurrent "
    "g h out cross_entropy learn has_momentum"
)


class _Net(ctypes.Structure):
    _fields_ = (
        [(name, ctypes.c_int64) for name in _WHOLE.split()]
        + [(name, ctypes.c_double) for name in ("rate", "decay", "momentum", "carry", "stop")]
        + [(name, ctypes.c_void_p) for name in ("weights", "mask", "velocity", "gradient", "memory")]
    )


class _Data(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("begin", "end")] + [
        (name, ctypes.c_void_p) for name in ("symbols", "x", "fresh", "due", "targets", "rows", "y", "states", "gates")
    ]
