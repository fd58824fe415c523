"""Data to measure a model on, by name or from a manifest."""

from karussell.data.digits import OFFICIAL
from karussell.data.manifest import Utterance, read_manifest
from karussell.tasks.digits import held_out_strings


def named_data(name: str) -> list[Utterance]:
    """`digits` (official test strings), `digits:SPEAKER` (strings of all recordings of one), or a manifest."""
    known, _, part = name.partition(":")
    if known == "digits":
        return held_out_strings(part or OFFICIAL)
    return read_manifest(name)
