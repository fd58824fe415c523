"""Recurrent cells: what one step computes, each written once as a value."""

from karussell.cells.cell import Cell as Cell
from karussell.cells.cell import Stage as Stage
from karussell.cells.clockwork import ClockworkRNN as ClockworkRNN
from karussell.cells.clockwork import clockwork as clockwork
from karussell.cells.gru import GRU as GRU
from karussell.cells.gru import GRUResetBefore as GRUResetBefore
from karussell.cells.highway import RecurrentHighway as RecurrentHighway
from karussell.cells.highway import highway as highway
from karussell.cells.lstm import LSTM as LSTM
from karussell.cells.lstm import PeepholeLSTM as PeepholeLSTM
from karussell.cells.lstm_1997 import LSTM1997 as LSTM1997
from karussell.cells.minimal import MinGRU as MinGRU
from karussell.cells.minimal import MinLSTM as MinLSTM
from karussell.cells.odyssey import CIFG as CIFG
from karussell.cells.odyssey import FGR as FGR
from karussell.cells.odyssey import NFG as NFG
from karussell.cells.odyssey import NIAF as NIAF
from karussell.cells.odyssey import NIG as NIG
from karussell.cells.odyssey import NOAF as NOAF
from karussell.cells.odyssey import NOG as NOG
from karussell.cells.odyssey import ODYSSEY as ODYSSEY
from karussell.cells.quasi import QRNN as QRNN
from karussell.cells.quasi import SRU as SRU
from karussell.cells.rnn import RNN as RNN
from karussell.cells.rnn import IndRNN as IndRNN
from karussell.cells.rnn import ReLURNN as ReLURNN

CELLS: tuple[Cell, ...] = (
    RNN,
    ReLURNN,
    IndRNN,
    LSTM,
    PeepholeLSTM,
    LSTM1997,
    CIFG,
    NIG,
    NFG,
    NOG,
    NIAF,
    NOAF,
    FGR,
    GRU,
    GRUResetBefore,
    ClockworkRNN,
    RecurrentHighway,
    MinGRU,
    MinLSTM,
    QRNN,
    SRU,
)
"""Every built-in cell once; conformance tests and the carried build run over this list."""
