"""What the searches are compared on: posteriors of a trained recogniser, and imitated ones with more labels.

digits   log-probabilities of the digits' recogniser (`karussell train digits`, the speaker left out of it), strings
         joined to T = 500 frames and filled with blank frames: 11 labels, no words, so no language model helps
letters  imitated: a text's letters at random frames of T = 500, over noise, one in five beside another that is about
         as likely; 32 labels. The texts are the last fifth of the licence that comes with the digits, the rest of it
         trains the 3-gram. It is no recogniser: what is seen holds for peaked outputs of this kind
"""

import re
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

FRAMES = 500
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
    """The trained recogniser's."""
    from safetensors.numpy import load

    found = load(files("karussell.bench").joinpath("assets", "digit_posteriors.safetensors").read_bytes())
    texts = tuple(bytes(row[row > 0]).decode() for row in found["texts"][: found["log_probs"].shape[1]])
    log_probs = np.ascontiguousarray(found["log_probs"].astype(np.float32).transpose(1, 0, 2))
    return Data("digits", log_probs, ("", *"0123456789"), texts)


@cache
def letters(count: int = 8) -> Data:
    """Imitated posteriors of texts, and a 3-gram of other texts of the same kind."""
    from karussell.ctc.lm import train

    text = files("karussell.data").joinpath("assets", "digits", "LICENSE").read_text(encoding="utf-8")
    tidy = " ".join(re.sub("[^a-z]+", " ", text.lower()).split()).split()
    known = tidy[: len(tidy) * 4 // 5]
    sentences = [" ".join(known[at : at + 12]) for at in range(0, len(known), 12)]
    folder = Path(_folder().name)
    (folder / "text.txt").write_text("\n".join(sentences) + "\n")
    train(folder / "text.txt", order=3).model.save(folder / "three.arpa")
    rest = iter(tidy[len(known) :])
    texts, rows = [], []
    for seed in range(count):
        words: list[str] = []
        while sum(map(len, words)) + len(words) < 85:
            words.append(next(rest))
        texts.append(" ".join(words))
        rows.append(_spoken(texts[-1], seed))
    lexicon = tuple(sorted(set(known)))
    return Data("letters", np.stack(rows), LETTERS, tuple(texts), lexicon, str(folder / "three.arpa"))


@cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    """Kept until the process ends."""
    return tempfile.TemporaryDirectory()


def _spoken(text: str, seed: int) -> np.ndarray:
    """Log-probabilities [T, K] of somebody who says a text none too clearly."""
    rng = np.random.default_rng(seed)
    classes = len(LETTERS)
    logits = rng.normal(size=(FRAMES, classes))
    path = np.full(FRAMES, classes - 1)
    # two frames apart, so that doubled letters have a blank between them
    places = 2 * np.sort(rng.choice(FRAMES // 2, len(text), replace=False))
    path[places] = [LETTERS.index(letter) for letter in text]
    logits[np.arange(FRAMES), path] += rng.uniform(5.0, 10.0, size=FRAMES)
    wrong = places[rng.random(len(text)) < 0.2]
    logits[wrong, rng.integers(0, 27, size=len(wrong))] += rng.uniform(5.0, 10.0, size=len(wrong))
    return np.float32(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
