"""Generated problems: functions of a generator that give `Sequences`; sizes and symbols as they were published."""

from karussell.data.problems.arithmetic import adding as adding
from karussell.data.problems.arithmetic import multiplication as multiplication
from karussell.data.problems.lags import delayed_recall as delayed_recall
from karussell.data.problems.lags import distracted_recall as distracted_recall
from karussell.data.problems.lags import two_sequences as two_sequences
from karussell.data.problems.order import temporal_order as temporal_order
from karussell.data.problems.sequences import Padded as Padded
from karussell.data.problems.sequences import Sequences as Sequences
