"""What people use: speech to text today."""

from karussell.tasks.config import TranscriberConfig as TranscriberConfig
from karussell.tasks.network import Network as Network
from karussell.tasks.network import NetworkConfig as NetworkConfig
from karussell.tasks.pauses import cut_at_pauses as cut_at_pauses
from karussell.tasks.training import hold_out as hold_out
from karussell.tasks.training import train_transcriber as train_transcriber
from karussell.tasks.transcriber import Transcriber as Transcriber
