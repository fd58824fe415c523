"""What people use: sequences in; texts, forecasts, classes or a label a step out."""

from karussell.tasks.classifier import Answer as Answer
from karussell.tasks.classifier import Classifier as Classifier
from karussell.tasks.classify.config import ClassifierConfig as ClassifierConfig
from karussell.tasks.classify.reporting import train_classifier as train_classifier
from karussell.tasks.config import TranscriberConfig as TranscriberConfig
from karussell.tasks.network import Network as Network
from karussell.tasks.network import NetworkConfig as NetworkConfig
from karussell.tasks.pauses import cut_at_pauses as cut_at_pauses
from karussell.tasks.tag.config import TaggerConfig as TaggerConfig
from karussell.tasks.tag.reporting import train_tagger as train_tagger
from karussell.tasks.tagger import Tagged as Tagged
from karussell.tasks.tagger import Tagger as Tagger
from karussell.tasks.training import hold_out as hold_out
from karussell.tasks.training import train_transcriber as train_transcriber
from karussell.tasks.transcriber import Transcriber as Transcriber
