"""Trained models without torch: NumPy and C code of our own, which is also what `karussell export --to c` writes."""

from karussell.runtime.decode import Label as Label
from karussell.runtime.decode import Transcript as Transcript
from karussell.runtime.live import ChunkedStream as ChunkedStream
from karussell.runtime.live import LiveStream as LiveStream
from karussell.runtime.model import Recogniser as Recogniser
from karussell.runtime.model import load as load
