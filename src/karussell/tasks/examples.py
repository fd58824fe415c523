"""Utterances made ready for training: every recording read once, every transcript encoded, nothing wrong left."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from karussell.data.features import FilterBank
from karussell.data.manifest import Utterance
from karussell.data.text import Normaliser
from karussell.data.vocabulary import Vocabulary
from karussell.errors import InputError

# bytes of samples kept in memory; recordings beyond are read again every epoch
KEPT = 2 * 1024**3
# recordings that are measured for the normalisation, at most
MEASURED = 2000


@dataclass(frozen=True)
class Examples:
    """Utterances that were all found sound, and log energies [T, F] of them, or of some evenly spread."""

    utterances: tuple[Utterance, ...]
    energies: tuple[np.ndarray, ...]
    digest: str
    """A checksum that tells this list from another one."""


def normalised(utterances: Iterable[Utterance], texts: Normaliser) -> list[Utterance]:
    """The utterances with their transcripts normalised; InputError where nothing is left of one."""
    found = [replace(utterance, text=texts(utterance.text)) for utterance in utterances]
    for utterance in found:
        if not utterance.text:
            raise InputError(f"the transcript of '{utterance.id}' is empty once normalised; correct it or leave it out")
    return found


def read(utterances: Sequence[Utterance], bank: FilterBank, vocabulary: Vocabulary, subsampling: int) -> Examples:
    """Read every recording and encode every transcript; InputError names the first that cannot be used."""
    if not utterances:
        raise InputError("there is not one recording to train on or to validate with; give at least one")
    kept, energies, rows, size = [], [], [], 0
    every = -(-len(utterances) // MEASURED)
    for number, utterance in enumerate(utterances):
        target = vocabulary.encode(utterance.text, utterance.id)
        loaded = utterance.loaded(bank.rate)
        samples = loaded.samples(bank.rate)
        frames = bank.frames(len(samples))
        _check_room(utterance.id, len(samples) / bank.rate, -(-frames // subsampling), target)
        size += samples.nbytes
        kept.append(loaded if size <= KEPT else utterance)
        rows.append((utterance.id, target, frames))
        if number % every == 0:
            energies.append(bank(samples))
    digest = hashlib.sha256(repr(rows).encode()).hexdigest()[:16]
    return Examples(tuple(kept), tuple(energies), digest)


def _check_room(name: str, seconds: float, frames: int, target: Sequence[int]) -> None:
    # CTC puts a blank between two equal neighbours
    needed = len(target) + sum(a == b for a, b in pairwise(target))
    if needed > frames:
        raise InputError(
            f"recording '{name}' lasts {seconds:.2f} s, which gives the network {frames} frames, but its transcript "
            f"needs {needed}; correct the transcript, leave the recording out, or lower network.time_strides"
        )
