"""Published results of gated recurrent nets, run again: claim, figure, control, picture."""

from karussell.landmarks.catalogue import NAMES as NAMES
from karussell.landmarks.catalogue import committed as committed
from karussell.landmarks.catalogue import landmark as landmark
from karussell.landmarks.landmark import Landmark as Landmark
from karussell.landmarks.result import Result as Result
from karussell.landmarks.result import agreement as agreement
from karussell.landmarks.runner import run as run
