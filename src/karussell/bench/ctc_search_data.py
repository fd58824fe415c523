"""What the searches are compared on: log-probabilities of two trained recognisers of ours.

letters  a speller by ear (`tools/letter_posteriors.py`): phones of sentences of "War and Peace", made audible as
         vectors with noise, into 26 letters, the space, four signs and the blank; eight stretches of sentences it was
         not trained on, T = 500, and a 3-gram of words of the sentences that it was trained on
digits   the digits' recogniser (`karussell train digits`, the speaker left out of it), strings joined to T = 500
         frames and filled with blank frames: 11 labels, no words, so no language model helps
"""

import gzip
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np

LETTERS = (*"abcdefghijklmnopqrstuvwxyz", " ", "'", ".", ",", "-", "")


@dataclass(frozen=True)
class Data:
    """Log-probabilities [N, T, K] float32, labels with "" the blank, what was said, and the words a model knows."""

    name: str
    log_probs: np.ndarray
    labels: tuple[str, ...]
    texts: tuple[str, ...]
    words: tuple[str, ...] = ()
    model: str | None = None

    @property
    def blank(self) -> int:
        """The number of the blank."""
        return self.labels.index("")


@cache
def digits() -> Data:
    """The digits' recogniser's."""
    found = _asset("digit_posteriors.safetensors")
    return Data("digits", found.log_probs, ("", *"0123456789"), found.texts)


@cache
def letters() -> Data:
    """The speller's, and the 3-gram."""
    from karussell.ctc.lm import LanguageModel

    found = _asset("letter_posteriors.safetensors")
    model = Path(_folder().name) / "three.arpa"
    model.write_bytes(gzip.decompress(_content("letter_words.arpa.gz")))
    words = LanguageModel.load(model).vocabulary
    lexicon = tuple(sorted(set(words) - {"<unk>", "<s>", "</s>"}))
    return Data("letters", found.log_probs, LETTERS, found.texts, lexicon, str(model))


@cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    """Kept until the process ends."""
    return tempfile.TemporaryDirectory()


class _Asset(NamedTuple):
    log_probs: np.ndarray
    texts: tuple[str, ...]


def _asset(name: str) -> _Asset:
    """Log-probabilities [N, T, K] and texts of a file that holds them as [T, N, K] and as bytes."""
    from safetensors.numpy import load

    found = load(_content(name))
    texts = tuple(bytes(row[row > 0]).decode() for row in found["texts"][: found["log_probs"].shape[1]])
    return _Asset(np.ascontiguousarray(found["log_probs"].astype(np.float32).transpose(1, 0, 2)), texts)


def _content(name: str) -> bytes:
    return files("karussell.bench").joinpath("assets", name).read_bytes()
