"""The variants of "LSTM: A Search Space Odyssey" (Greff, Srivastava, Koutnik, Steunebrink & Schmidhuber 2017).

Each changes one thing in the vanilla (peephole) LSTM:

    z = g(W_z x + R_z h + b_z)                      block input, g = tanh
    i = sigmoid(W_i x + R_i h + p_i * c_(t-1) + b_i)
    f = sigmoid(W_f x + R_f h + p_f * c_(t-1) + b_f)
    c = i * z + f * c_(t-1)
    o = sigmoid(W_o x + R_o h + p_o * c + b_o)
    h = o * tanh(c)

    NIG  i = 1              NIAF  g(x) = x                        CIFG  f = 1 - i
    NFG  f = 1              NOAF  h = o * c                       NP    no peepholes: `LSTM`
    NOG  o = 1              FGR   the gates also see i, f and o of the step before, through nine more matrices
"""

from collections.abc import Mapping
from types import MappingProxyType

from torch import Tensor, sigmoid, tanh

from karussell.cells.cell import Cell, Stage
from karussell.cells.lstm import LSTM, PeepholeLSTM, State2

_STATE = ("h", "c")
_ALL = {"p_i": 0.0, "p_f": 0.0, "p_o": 0.0}


def _nig(f: Tensor, g: Tensor, o: Tensor, c: Tensor, p_f: Tensor, p_o: Tensor, drop: float = 1.0) -> State2:
    c = sigmoid(f + p_f * c) * c + tanh(g) * drop
    return sigmoid(o + p_o * c) * tanh(c), c


def _nfg(i: Tensor, g: Tensor, o: Tensor, c: Tensor, p_i: Tensor, p_o: Tensor, drop: float = 1.0) -> State2:
    c = c + sigmoid(i + p_i * c) * tanh(g) * drop
    return sigmoid(o + p_o * c) * tanh(c), c


def _nog(i: Tensor, f: Tensor, g: Tensor, c: Tensor, p_i: Tensor, p_f: Tensor, drop: float = 1.0) -> State2:
    c = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * tanh(g) * drop
    return tanh(c), c


def _niaf(
    i: Tensor,
    f: Tensor,
    g: Tensor,
    o: Tensor,
    c: Tensor,
    p_i: Tensor,
    p_f: Tensor,
    p_o: Tensor,
    drop: float = 1.0,
) -> State2:
    c = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * g * drop
    return sigmoid(o + p_o * c) * tanh(c), c


def _noaf(
    i: Tensor,
    f: Tensor,
    g: Tensor,
    o: Tensor,
    c: Tensor,
    p_i: Tensor,
    p_f: Tensor,
    p_o: Tensor,
    drop: float = 1.0,
) -> State2:
    c = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * tanh(g) * drop
    return sigmoid(o + p_o * c) * c, c


def _cifg(i: Tensor, g: Tensor, o: Tensor, c: Tensor, p_i: Tensor, p_o: Tensor, drop: float = 1.0) -> State2:
    y_in = sigmoid(i + p_i * c)
    c = (1 - y_in) * c + y_in * tanh(g) * drop
    return sigmoid(o + p_o * c) * tanh(c), c


def _block_input(g: Tensor) -> Tensor:
    return tanh(g)


def _fgr(
    i: Tensor,
    f: Tensor,
    o: Tensor,
    z: Tensor,
    c: Tensor,
    p_i: Tensor,
    p_f: Tensor,
    p_o: Tensor,
    drop: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    y_i, y_f = sigmoid(i + p_i * c), sigmoid(f + p_f * c)
    c = y_f * c + y_i * z * drop
    y_o = sigmoid(o + p_o * c)
    return y_o * tanh(c), c, y_i, y_f, y_o


NIG = Cell("nig", _STATE, ("f", "g", "o"), _nig, units={"p_f": 0.0, "p_o": 0.0})
"""No input gate."""
NFG = Cell("nfg", _STATE, ("i", "g", "o"), _nfg, units={"p_i": 0.0, "p_o": 0.0})
"""No forget gate."""
NOG = Cell("nog", _STATE, ("i", "f", "g"), _nog, units={"p_i": 0.0, "p_f": 0.0})
"""No output gate."""
NIAF = Cell("niaf", _STATE, ("i", "f", "g", "o"), _niaf, units=_ALL)
"""No input activation function."""
NOAF = Cell("noaf", _STATE, ("i", "f", "g", "o"), _noaf, units=_ALL)
"""No output activation function."""
CIFG = Cell("cifg", _STATE, ("i", "g", "o"), _cifg, units={"p_i": 0.0, "p_o": 0.0})
"""Coupled input and forget gate, with the peepholes of the study."""
FGR = Cell(
    "fgr",
    state=("h", "c", "y_i", "y_f", "y_o"),
    stages=(
        Stage(("g",), _block_input, writes=("z",)),
        Stage(("i", "f", "o"), _fgr, sees=("h", "y_i", "y_f", "y_o")),
    ),
    units=_ALL,
)
"""Full gate recurrence; the block input sees h only, as in the paper."""

ODYSSEY: Mapping[str, Cell] = MappingProxyType(
    {
        "V": PeepholeLSTM,
        "NIG": NIG,
        "NFG": NFG,
        "NOG": NOG,
        "NIAF": NIAF,
        "NOAF": NOAF,
        "NP": LSTM,
        "CIFG": CIFG,
        "FGR": FGR,
    }
)
"""The nine nets of the study by the names it gives them."""
