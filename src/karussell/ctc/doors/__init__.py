"""Doors for those who come from other tools: their calls, and their files."""

from karussell.ctc.doors.alphabet import Alphabet
from karussell.ctc.doors.files import read_flashlight_tokens, read_vocabulary
from karussell.ctc.doors.pyctc import BeamSearchDecoderCTC, OutputBeam, build_ctcdecoder

__all__ = [
    "Alphabet",
    "BeamSearchDecoderCTC",
    "OutputBeam",
    "build_ctcdecoder",
    "read_flashlight_tokens",
    "read_vocabulary",
]
