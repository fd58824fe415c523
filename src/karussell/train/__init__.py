"""Training: one thin loop over accelerate that can be killed at any step and go on to the same bits."""

from karussell.train.config import TrainConfig as TrainConfig
from karussell.train.interrupt import Terminated as Terminated
from karussell.train.loop import History as History
from karussell.train.loop import fit as fit
from karussell.train.metrics import read_metrics as read_metrics
from karussell.train.progress import Progress as Progress
from karussell.train.randomness import key as key
from karussell.train.step import DivergedError as DivergedError
