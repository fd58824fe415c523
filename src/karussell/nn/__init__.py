"""Torch modules with weights: drop-ins for torch's recurrent layers, and a layer for any cell."""

from karussell.nn.gru import GRU as GRU
from karussell.nn.hierarchical import HierarchicalCTC as HierarchicalCTC
from karussell.nn.hierarchical import Level as Level
from karussell.nn.lstm import LSTM as LSTM
from karussell.nn.recurrent import Inspection as Inspection
from karussell.nn.recurrent import Recurrent as Recurrent
from karussell.nn.rnn import RNN as RNN
from karussell.nn.single import GRUCell as GRUCell
from karussell.nn.single import LSTMCell as LSTMCell
from karussell.nn.single import RNNCell as RNNCell
from karussell.nn.stack import detach as detach
