"""Variation for training: tempo, voice, microphone, room, noise and gaps, drawn anew for every utterance and epoch.

Everything but `speed` works on power spectra [T, bins], between the Fourier transform and the filters, where a
second of speech costs well under a millisecond: no waveform is resampled and no noise is drawn per sample.
All functions are pure: what they draw comes from the generator they are given.

Papers: vocal tract length perturbation, Jaitly and Hinton 2013; speed, Ko et al. 2015; masks, Park et al. 2019.
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from karussell.data.features import Features, FilterBank
from karussell.errors import InputError, require

NOISE_FRAMES = 4096
REVERB_FRAMES = 24


class Augmented(NamedTuple):
    """What became of an utterance."""

    x: np.ndarray
    """Features [T', F] float32."""
    source: np.ndarray
    """The original frame that each frame shows [T'] int64, for labels that are known by frame."""


@dataclass(frozen=True)
class Augment:
    """How much to vary an utterance; 0 turns a kind off. The order of the fields is the order of the steps."""

    tempo: float = 0.25
    """Largest change of tempo, natural logarithm: 0.25 is 0.78 to 1.28 times as fast, pitch kept."""
    wobble: float = 0.1
    """Largest change of tempo within the utterance, natural logarithm, drawn every half second."""
    gain_db: float = 6.0
    """Largest change of loudness; without effect where the normalisation levels."""
    noise: float = 0.6
    """Probability of added noise with a random smooth colour."""
    snr_db: tuple[float, float] = (0.0, 40.0)
    """Range of the noise's ratio, speech over noise, in dB."""
    warp: float = 0.18
    """Largest stretch of the frequency axis, natural logarithm: pitch and vocal tract together."""
    bend: float = 0.06
    """Largest wave in the frequency axis, relative: vocal tracts differ by more than a factor."""
    tilt_db: float = 6.0
    """Largest change at either end of the spectrum, linear over the bands."""
    eq_db: float = 6.0
    """Largest change of a smooth random equaliser of seven points."""
    reverb: float = 0.3
    """Probability of a decaying echo, 20 to 120 ms, 4 to 20 dB below the voice."""
    frequency_masks: int = 2
    """Masks over bands."""
    frequency_mask: int = 6
    """Largest width of a frequency mask in bands."""
    time_masks: float = 1.0
    """Masks over time, per second."""
    time_mask: int = 8
    """Largest width of a time mask in frames."""

    def __post_init__(self) -> None:
        for name in ("tempo", "wobble", "warp", "bend"):
            if not 0 <= getattr(self, name) <= 0.5:
                raise InputError(f"augment: {name} is {getattr(self, name)}, needed 0 (off) to 0.5")
        for name in ("noise", "reverb"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"augment: {name} is {getattr(self, name)}, needed a probability, 0 to 1")
        if min(self.gain_db, self.tilt_db, self.eq_db, self.frequency_masks, self.time_masks) < 0:
            raise InputError(f"augment: a negative amount in {self}; needed 0 (off) or more")
        if min(self.frequency_mask, self.time_mask) < 0 or self.snr_db[0] > self.snr_db[1]:
            raise InputError(f"augment: needed widths of 0 or more and snr_db from low to high, got {self}")

    def __call__(self, samples: np.ndarray, features: Features, rng: np.random.Generator) -> "Augmented":
        """Augmented, normalised features of samples [N]."""
        return self.of_power(features.bank.power(samples), features, rng)

    def of_power(self, power: np.ndarray, features: Features, rng: np.random.Generator) -> "Augmented":
        """The same from power spectra [T, bins] kept from an earlier epoch (`features.bank.power`)."""
        positions = tempo_positions(len(power), rng, self.tempo, self.wobble, round(0.5 / features.bank.frame_seconds))
        x = features.normalised(self.log_energies(stretch(power, positions), features.bank, rng))
        count = self.time_masks * len(x) * features.bank.frame_seconds
        times = int(count) + int(rng.random() < count % 1)
        x = mask(x, rng, self.frequency_masks, self.frequency_mask, times, self.time_mask)
        return Augmented(x, np.rint(positions).astype(np.int64))

    def log_energies(self, power: np.ndarray, bank: FilterBank, rng: np.random.Generator) -> np.ndarray:
        """Log mel energies [T, F] of power spectra [T, bins] with other loudness, noise, voice, microphone and room."""
        if self.gain_db:
            power = power * np.float32(10 ** (rng.uniform(-self.gain_db, self.gain_db) / 10))
        if rng.random() < self.noise:
            power = add_noise(power, rng, bank, rng.uniform(*self.snr_db))
        warped = self.warp or self.bend
        edges = warped_edges(bank, rng, self.warp, self.bend) if warped else None
        energy = power @ bank.filters(edges)
        if self.tilt_db or self.eq_db:
            energy *= equaliser(bank.bands, rng, self.tilt_db, self.eq_db)
        if rng.random() < self.reverb:
            energy = reverberate(energy, rng, bank.frame_seconds)
        return np.log(np.maximum(energy, 1.0))


def speed(samples: np.ndarray, factor: float, rate: int) -> np.ndarray:
    """Play samples [N] `factor` times as fast, [N / factor]: tempo, pitch and vocal tract change together.

    For variants that are made once, such as further "speakers".
    """
    if not 0.25 <= factor <= 4:
        raise InputError(f"speed: factor is {factor}, needed 0.25 to 4")
    played = require("soxr", extra="audio").resample(samples, rate * factor, rate)
    return np.clip(played, -1.0, 1.0).astype(np.float32)


def tempo_positions(frames: int, rng: np.random.Generator, tempo: float, wobble: float, every: int) -> np.ndarray:
    """Where to read T frames, positions [T'] from 0 to T - 1, to go by at a wobbling pace around exp(U(-tempo, tempo)).

    The wobble, exp(U(-wobble, wobble)), is drawn at knots `every` frames apart and is linear between.
    """
    if frames < 2 or (tempo == 0 and wobble == 0):
        return np.arange(frames, dtype=np.float64)
    knots = np.exp(rng.uniform(-tempo, tempo) + rng.uniform(-wobble, wobble, 2 + frames // every))
    pace = np.interp(np.arange(frames - 1), np.arange(len(knots)) * every, knots)
    times = np.concatenate([[0.0], np.cumsum(1 / pace)])
    return np.interp(np.linspace(0, times[-1], 1 + round(times[-1])), times, np.arange(frames))


def stretch(power: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Read power spectra [T, bins] at positions [T'] between frames, linearly interpolated: [T', bins]."""
    if len(power) < 2:
        return power
    before = np.minimum(positions.astype(np.int64), len(power) - 2)
    share = (positions - before).astype(np.float32)[:, None]
    low = power[before]
    return low + share * (power[before + 1] - low)


def add_noise(power: np.ndarray, rng: np.random.Generator, bank: FilterBank, snr_db: float) -> np.ndarray:
    """Add noise of a random colour at a ratio of mean energies: |X + N|^2 = |X|^2 + |N|^2 + 2 |X| |N| cos(phase).

    Its power falls as f^-k, k from -1/2 to 2, times smooth bumps of up to 9 dB.
    """
    bins = power.shape[1]
    fall = rng.uniform(-0.5, 2.0)
    bumps = np.interp(np.arange(bins), np.linspace(0, bins - 1, 12), rng.uniform(-2, 2, 12))
    frequency = bank.frequencies
    # what the microphone hears passes the same pre-emphasis as the voice
    emphasis = 1 + 0.97**2 - 2 * 0.97 * np.cos(2 * np.pi * frequency / bank.rate)
    colour = np.maximum(frequency, 60.0) ** -fall * np.exp(bumps) * emphasis
    level = power.sum(axis=1).mean() * 10 ** (-snr_db / 10)
    colour = (colour * (level / colour.sum())).astype(np.float32)
    white, cosine = _noise(bins)
    rows = (rng.integers(NOISE_FRAMES) + np.arange(len(power))) % NOISE_FRAMES
    noise = white[rows] * colour
    # the phases start elsewhere, so that pairs of tables do not come again
    cross = np.sqrt(power * noise)
    cross *= cosine[(rows + rng.integers(NOISE_FRAMES)) % NOISE_FRAMES]
    cross *= 2
    cross += noise
    cross += power
    return np.maximum(cross, 0, out=cross)


def warped_edges(bank: FilterBank, rng: np.random.Generator, warp: float, bend: float) -> np.ndarray:
    """Filter edges [bands + 2] in Hz on a random frequency axis: f -> a f (1 + b sin(p + 2 pi c along)).

    a = exp(U(-warp, warp)), b = U(0, bend), c = U(1/2, 2) turns from the first edge to the last; see
    `FilterBank.warped`.
    """
    phase, turns = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 2.0)
    along = np.linspace(0, 1, bank.bands + 2)
    wave = rng.uniform(0, bend) * np.sin(phase + 2 * np.pi * turns * along)
    return bank.warped(np.exp(rng.uniform(-warp, warp)), wave)


def equaliser(bands: int, rng: np.random.Generator, tilt_db: float, eq_db: float) -> np.ndarray:
    """Factors [bands] on the energies: a slope across the bands, and a smooth curve through seven random points."""
    tilt = rng.uniform(-tilt_db, tilt_db) * np.linspace(-1, 1, bands)
    curve = np.interp(np.linspace(0, 6, bands), np.arange(7), rng.uniform(-eq_db, eq_db, 7))
    return (10 ** ((tilt + curve) / 10)).astype(np.float32)


def reverberate(energy: np.ndarray, rng: np.random.Generator, frame_seconds: float) -> np.ndarray:
    """Add a tail to energies [T, F]: every frame rings on, decaying with a time constant of 20 to 120 ms."""
    decay = np.exp(-frame_seconds / rng.uniform(0.02, 0.12))
    level = 10 ** (-rng.uniform(4, 20) / 10)
    kernel = decay ** np.arange(REVERB_FRAMES)
    kernel = (kernel * (level / kernel.sum())).astype(np.float32)
    out = energy.copy()
    for delay, weight in enumerate(kernel[: max(0, len(energy) - 1)], start=1):
        out[delay:] += weight * energy[:-delay]
    return out


def mask(
    x: np.ndarray, rng: np.random.Generator, bands: int, widest_band: int, times: int, widest_time: int
) -> np.ndarray:
    """Set random bands and stretches of time of features [T, F] to 0, the mean; widths from 0 to the widest."""
    x = x.copy()
    for _ in range(bands):
        width = int(rng.integers(0, min(widest_band, x.shape[1]) + 1))
        start = int(rng.integers(0, x.shape[1] - width + 1))
        x[:, start : start + width] = 0
    for _ in range(times):
        width = int(rng.integers(0, min(widest_time, len(x)) + 1))
        start = int(rng.integers(0, len(x) - width + 1))
        x[start : start + width] = 0
    return x


@cache
def _noise(bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Power of white noise, exponential with mean 1, and cosines of random phases: [NOISE_FRAMES, bins] each."""
    rng = np.random.default_rng(0)
    power = rng.standard_exponential((NOISE_FRAMES, bins), dtype=np.float32)
    phase = rng.random((NOISE_FRAMES, bins), dtype=np.float32) * np.float32(2 * np.pi)
    return power, np.cos(phase)
