"""From files to batches: audio, manifests, texts, vocabularies, features, augmentation, and the packaged spoken digits.

Import needs numpy and torch; what reads audio or computes filter banks asks for its package when it is used.
"""

from karussell.data.audio import Audio, audio_seconds, read_audio, write_audio
from karussell.data.augment import Augment, Augmented
from karussell.data.batches import Batch, Batches, Epoch, Loader, pad
from karussell.data.features import Features, FilterBank, OnlineFilterBank
from karussell.data.files import home, write_atomic
from karussell.data.floor import NearestNeighbour
from karussell.data.manifest import Segment, Utterance, read_manifest
from karussell.data.normalisation import Normalisation
from karussell.data.text import Normaliser, normalise
from karussell.data.vocabulary import Vocabulary

__all__ = [
    "Audio",
    "Augment",
    "Augmented",
    "Batch",
    "Batches",
    "Epoch",
    "Features",
    "FilterBank",
    "Loader",
    "NearestNeighbour",
    "Normalisation",
    "Normaliser",
    "OnlineFilterBank",
    "Segment",
    "Utterance",
    "Vocabulary",
    "audio_seconds",
    "home",
    "normalise",
    "pad",
    "read_audio",
    "read_manifest",
    "write_atomic",
    "write_audio",
]
