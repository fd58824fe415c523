"""Spoken digits joined to strings, as the landmarks of speech use them in place of TIMIT, which is not free.

Where KARUSSELL_DATA has a folder `timit`, arms that ask for it run on the original data.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from karussell.ctc import ctc_loss, greedy, label_error_rate
from karussell.data import FilterBank, Utterance, pad
from karussell.data.digits import split, strings
from karussell.data.timit import PHONES, fold, timit
from karussell.data.timit import RATE as TIMIT_RATE
from karussell.landmarks.archives import timit_folder

BANDS = 26
BANK = FilterBank(rate=8000, bands=BANDS, hop_ms=20.0)
FINE = FilterBank(rate=TIMIT_RATE, bands=BANDS)
DIGITS = tuple("0123456789")
SILENCE = len(DIGITS)


@dataclass(frozen=True)
class Speech:
    """Strings: x [T, 26] each, standing for 20 ms a frame (TIMIT: 10 ms); what is said; each frame's class.

    Digits: `kinds` 10 labels, and `classes` 11, the last for none. TIMIT: 61 of both, the phones by their names.
    """

    x: tuple[np.ndarray, ...]
    labels: tuple[tuple[int, ...], ...]
    frames: tuple[np.ndarray, ...]
    kinds: int = 10
    classes: int = SILENCE + 1

    def batches(self, rng: np.random.Generator, size: int = 16) -> Iterator[list[int]]:
        """One epoch: every string once, in random batches."""
        order = rng.permutation(len(self.x))
        return (order[k : k + size].tolist() for k in range(0, len(order), size))

    def alike(self, rng: np.random.Generator, size: int = 16) -> Iterator[list[int]]:
        """One epoch in random batches of strings of like length: less of a batch is padding."""
        pools = (sorted(pool, key=lambda n: len(self.x[n])) for pool in self.batches(rng, 8 * size))
        found = [pool[k : k + size] for pool in pools for k in range(0, len(pool), size)]
        return (found[k] for k in rng.permutation(len(found)))

    def batch(self, which: Sequence[int]) -> tuple[Tensor, Tensor]:
        """x [T, B, 26] and lengths [B] of some strings."""
        return pad([self.x[k] for k in which])


@cache
def speech(part: str, *, few: bool = False, original: bool = False) -> Speech:
    """Strings of 1 to 5 digits from the official split's "train", "valid" or "test" part: seen speakers.

    Each band has mean 0 and deviation 1 over the training part. `few` takes enough to show that a program runs.
    `original` reads TIMIT instead: "train", "test" or "core"; with `few` digits take the phones' names.
    """
    made, features = _features(part, few, original)
    mean, deviation = _scale(few, original)
    names = PHONES if original else DIGITS
    bank, none = (FINE, PHONES.index("h#")) if original else (BANK, SILENCE)
    return Speech(
        tuple(((f - mean) / deviation).astype(np.float32) for f in features),
        tuple(tuple(names.index(segment.text) for segment in u.segments) for u in made),
        tuple(_frames(u, len(f), names, bank, none) for u, f in zip(made, features, strict=True)),
        len(names),
        len(PHONES) if original else SILENCE + 1,
    )


@cache
def _features(part: str, few: bool, original: bool) -> tuple[list[Utterance], list[np.ndarray]]:
    if original and not few:
        made = timit(timit_folder(), part)  # type: ignore[arg-type]
    else:
        recordings = getattr(split(), "test" if part == "core" else part)
        made = strings(recordings[:24] if few else recordings, 1, digits=(1, 5))
    if original and few:
        made = [replace(u, segments=tuple(replace(s, text=PHONES[int(s.text)]) for s in u.segments)) for u in made]
    bank, rate = (FINE, TIMIT_RATE) if original else (BANK, 8000)
    return made, [bank(u.samples(rate)) for u in made]


@cache
def _scale(few: bool, original: bool) -> tuple[np.ndarray, np.ndarray]:
    whole = np.concatenate(_features("train", few, original)[1])
    return whole.mean(0), whole.std(0)


def _frames(utterance: Utterance, count: int, names: Sequence[str], bank: FilterBank, none: int) -> np.ndarray:
    """The class of each frame, by the segments; `none` where there is no segment."""
    found = np.full(count, none)
    centre = (np.arange(count) + 0.5) * bank.frame_seconds
    for segment in utterance.segments:
        found[(centre >= segment.start) & (centre < segment.end)] = names.index(segment.text)
    return found


def folded(phones: Sequence[int]) -> tuple[str, ...]:
    """The 39 classes of numbered phones, as they are scored."""
    return fold([PHONES[k] for k in phones])


def targets(data: Speech, which: Sequence[int], total: int, shuffle: np.random.Generator | None = None) -> Tensor:
    """Each frame's class, [T, B]; -100 beyond an end. With `shuffle`, frames' classes change places in a string."""
    found = torch.full((total, len(which)), -100)
    for b, k in enumerate(which):
        frames = data.frames[k] if shuffle is None else shuffle.permutation(data.frames[k])
        found[: len(frames), b] = torch.from_numpy(frames)
    return found


EPOCHS = 24


def train_frames(
    net: torch.nn.Module, data: Speech, epochs: int, rng: np.random.Generator, *, for_ctc: bool = False
) -> None:
    """Adam on the cross-entropy of every frame's class; `for_ctc`, of its label as CTC numbers them, the blank where
    nothing is said."""
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(epochs):
        for which in data.alike(rng):
            x, lengths = data.batch(which)
            wanted = targets(data, which, len(x))
            if for_ctc:
                wanted = torch.where(wanted < 0, wanted, (wanted + 1) % (data.kinds + 1))
            loss = torch.nn.functional.cross_entropy(net(x, lengths).flatten(0, 1), wanted.flatten())
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()


def train_ctc(
    net: torch.nn.Module,
    data: Speech,
    labels: Sequence[Sequence[int]],
    epochs: int,
    rng: np.random.Generator,
    *,
    rate: float = 3e-3,
    lower: tuple[torch.nn.Module, Sequence[Sequence[int] | None]] | None = None,
) -> list[tuple[float, float]]:
    """Adam on the CTC loss of label sequences, blank 0; the mean loss a string after each epoch.

    `lower` is a net below with labels of its own, whose loss is added; None for strings that have none.
    """
    optimiser = torch.optim.Adam(net.parameters(), lr=rate)
    curve = []
    for epoch in range(epochs):
        total = 0.0
        for which in data.alike(rng):
            x, lengths = data.batch(which)
            log_probs = net(x, lengths).log_softmax(-1)
            loss = ctc_loss(log_probs, [labels[k] for k in which], lengths)
            if lower is not None:
                loss = loss + _below(lower, data, which)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            total += float(loss.detach()) * len(which)
        curve.append((float(epoch + 1), total / len(data.x)))
    return curve


def _below(
    lower: tuple[torch.nn.Module, Sequence[Sequence[int] | None]], data: Speech, which: Sequence[int]
) -> Tensor | float:
    net, labels = lower
    pairs = [(k, found) for k in which if (found := labels[k]) is not None]
    if not pairs:
        return 0.0
    x, lengths = data.batch([k for k, _ in pairs])
    return ctc_loss(net(x, lengths).log_softmax(-1), [found for _, found in pairs], lengths)


@torch.no_grad()
def posteriors(net: torch.nn.Module, data: Speech, size: int = 64) -> Iterator[tuple[Tensor, Tensor]]:
    """Log-probabilities [T, B, K] and lengths of all strings, in their order."""
    for k in range(0, len(data.x), size):
        x, lengths = data.batch(range(k, min(k + size, len(data.x))))
        yield net(x, lengths).log_softmax(-1), lengths


def best_path(net: torch.nn.Module, data: Speech) -> list[tuple[int, ...]]:
    """The labels of the likeliest path of each string."""
    return [h.tokens for z, lengths in posteriors(net, data) for h in greedy(z, lengths)]


def error_rate(wanted: Sequence[Sequence[int | str]], found: Sequence[Sequence[int | str]]) -> float:
    """Wrong labels as a share of all."""
    return label_error_rate(wanted, found, resamples=1).rate
