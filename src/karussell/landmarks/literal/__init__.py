"""The LSTM of 1997, 2000 and 2002 with the learning rule of its papers."""

from karussell.landmarks.literal.net import LiteralLSTM as LiteralLSTM
from karussell.landmarks.literal.net import Parts as Parts
from karussell.landmarks.literal.net import Shape as Shape
from karussell.landmarks.literal.net import Stream as Stream
from karussell.landmarks.literal.net import Trace as Trace
