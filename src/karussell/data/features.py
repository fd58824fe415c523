"""Log mel filter banks, whole or streaming, and the features that a model sees.

The arithmetic is Kaldi's (Povey et al. 2011), run by kaldi-native-fbank: for every frame the mean is taken out,
pre-emphasis 0.97, Povey window, power spectrum |X|^2, triangular filters equally spaced on mel(f) = 1127 ln(1 + f/700),
natural logarithm. Samples in [-1, 1] are scaled to 16 bits first, so values are Kaldi's own.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from karussell.data.normalisation import Normalisation
from karussell.errors import InputError, require
from karussell.runtime import mel

PREEMPHASIS = 0.97
FULL_SCALE = 32768.0
BLOCK_SECONDS = 30


@dataclass(frozen=True)
class FilterBank:
    """Samples [N] to log mel energies [T, bands] float32; frame t is centred at (t + 1/2) hop.

    T = round(N / hop), and the signal is mirrored at its ends (Kaldi's snip_edges=false). No dither. An energy
    below 1, far under the noise of 16-bit samples, counts as 1, so that digital silence gives 0 and not minus infinity.
    """

    rate: int = 8000
    """Samples a second."""
    bands: int = 40
    """Filters, F."""
    window_ms: float = 25.0
    """Length of a frame."""
    hop_ms: float = 10.0
    """Step from frame to frame."""
    low_hz: float = 60.0
    """Lower edge of the lowest filter."""
    high_hz: float = 0.0
    """Upper edge of the highest filter; 0 or less counts from half the rate."""

    def __post_init__(self) -> None:
        if self.rate < 1000 or self.bands < 1 or self.hop < 1 or self.window < self.hop:
            raise InputError(f"{self} is no filter bank: needed rate >= 1000, bands >= 1 and 0 < hop_ms <= window_ms")
        if not 0 <= self.low_hz < self.top_hz <= self.rate / 2:
            raise InputError(
                f"a filter bank needs 0 <= low_hz < high_hz <= {self.rate / 2:g} Hz at {self.rate} samples a second, "
                f"got {self.low_hz:g} and {self.top_hz:g}"
            )
        empty = int((self.filters().sum(axis=0) == 0).sum())
        if empty:
            raise InputError(
                f"{self.bands} bands are too many for {self.fft_size} points at {self.rate} samples a second: "
                f"{empty} filters are empty; take fewer bands or a longer window"
            )

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Log mel energies [T, bands] of a whole signal [N]."""
        stream, block = self.online(), BLOCK_SECONDS * self.rate
        parts = [stream.push(samples[at : at + block]) for at in range(0, len(samples), block)]
        return np.concatenate([*parts, stream.finish()])

    def online(self) -> "OnlineFilterBank":
        """A stream that gives exactly the frames of the whole signal, as its samples come."""
        return OnlineFilterBank(self)

    def frames(self, n_samples: int) -> int:
        """T, the number of frames of a signal of N samples."""
        return (n_samples + self.hop // 2) // self.hop

    @property
    def window(self) -> int:
        """Samples a frame."""
        return int(self.rate * 0.001 * self.window_ms)

    @property
    def hop(self) -> int:
        """Samples from frame to frame."""
        return int(self.rate * 0.001 * self.hop_ms)

    @property
    def frame_seconds(self) -> float:
        """Seconds from frame to frame."""
        return self.hop / self.rate

    @property
    def top_hz(self) -> float:
        """Upper edge of the highest filter in Hz."""
        return self.high_hz if self.high_hz > 0 else self.rate / 2 + self.high_hz

    @property
    def fft_size(self) -> int:
        """Points of the Fourier transform: the window's length, up to the next power of two."""
        return 1 << (self.window - 1).bit_length()

    @cached_property
    def frequencies(self) -> np.ndarray:
        """The frequencies in Hz of the power spectrum's bins [fft_size / 2]; Kaldi leaves out the last."""
        return np.arange(self.fft_size // 2) * (self.rate / self.fft_size)

    @cached_property
    def edges(self) -> np.ndarray:
        """The frequencies in Hz [bands + 2] where filters begin, peak and end: filter k lies on edges k to k + 2."""
        return mel.edges(self.low_hz, self.top_hz, self.bands)

    def power(self, samples: np.ndarray) -> np.ndarray:
        """Power spectra [T, fft_size / 2] float32 of the frames: what lies below the filters, for augmentation.

        log(max(power(x) @ filters(), 1)) equals the filter bank's own output within rounding.
        """
        x = np.asarray(samples, np.float32) * np.float32(FULL_SCALE)
        n, frames = len(x), self.frames(len(x))
        if frames == 0:
            return np.zeros((0, len(self.frequencies)), np.float32)
        left = self.hop // 2 - self.window // 2
        right = (frames - 1) * self.hop + left + self.window - n
        x = np.pad(x, (max(0, -left), max(0, right)), mode="symmetric")[max(0, left) :]
        x = np.lib.stride_tricks.sliding_window_view(x, self.window)[:: self.hop][:frames]
        x = x - x.mean(axis=1, keepdims=True)
        emphasised = np.empty_like(x)
        np.multiply(x[:, :-1], -PREEMPHASIS, out=emphasised[:, 1:])
        emphasised[:, 1:] += x[:, 1:]
        emphasised[:, 0] = x[:, 0] * (1 - PREEMPHASIS)
        emphasised *= self._povey
        # torch's transform takes half the time of numpy's
        spectrum = torch.fft.rfft(torch.from_numpy(emphasised), self.fft_size).numpy()[:, : self.fft_size // 2]
        return spectrum.real**2 + spectrum.imag**2

    def filters(self, edges: np.ndarray | None = None) -> np.ndarray:
        """Triangular weights [fft_size / 2, bands] float32, on `edges` [bands + 2] in Hz if given (a warped axis)."""
        return mel.triangles(self.edges if edges is None else edges, self.frequencies)

    def warped(self, factor: float, wave: np.ndarray | None = None) -> np.ndarray:
        """Filter edges [bands + 2] in Hz on a frequency axis stretched by `factor`, as by a shorter vocal tract.

        f -> factor f (1 + wave); above 70 % of the axis (less where factor > 1) the curve goes straight to its end,
        so that no edge leaves the spectrum and every filter keeps its width. `wave` [bands + 2] bends the axis.
        """
        edges, top = self.edges, self.rate / 2
        curve = factor * edges * (1 if wave is None else 1 + wave)
        knee = int(np.searchsorted(edges, 0.7 * top / max(factor, 1.0)))
        knee = min(max(knee, 1), len(edges) - 1)
        end = min(factor * edges[-1], 0.995 * top)
        share = (edges[knee - 1 :] - edges[knee - 1]) / (edges[-1] - edges[knee - 1])
        curve[knee - 1 :] = curve[knee - 1] + share * (end - curve[knee - 1])
        # a triangle must reach at least one bin of the spectrum, however squeezed
        step = 0.55 * self.rate / self.fft_size * np.arange(len(edges))
        curve = np.maximum.accumulate(curve - step) + step
        return np.minimum(curve, max(end, 0.9 * top) - step[::-1])

    @cached_property
    def _povey(self) -> np.ndarray:
        return mel.povey(self.window)


class OnlineFilterBank:
    """Frames of a signal that comes in pieces; together exactly those of the whole."""

    def __init__(self, bank: FilterBank) -> None:
        self.bank = bank
        self._kaldi = _kaldi(bank)
        self._given = 0
        self._finished = False

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take samples [n] and give the frames [t, bands] that are complete now, perhaps none."""
        if self._finished:
            raise RuntimeError("OnlineFilterBank: push after finish; make a new stream with bank.online()")
        x = np.asarray(samples, np.float32)
        if len(x):
            self._kaldi.accept_waveform(self.bank.rate, (x * np.float32(FULL_SCALE)).tolist())
        return self._ready()

    def finish(self) -> np.ndarray:
        """Say that the signal has ended, and take the last frames."""
        if not self._finished:
            self._finished = True
            self._kaldi.input_finished()
        return self._ready()

    def _ready(self) -> np.ndarray:
        ready = self._kaldi.num_frames_ready
        frames = np.empty((ready - self._given, self.bank.bands), np.float32)
        for row in range(len(frames)):
            frames[row] = self._kaldi.get_frame(self._given + row)
        self._kaldi.pop(len(frames))
        self._given = ready
        return np.maximum(frames, 0.0, out=frames)


@dataclass(frozen=True)
class Features:
    """Samples to normalised features: the filter bank and the normalisation that a model was trained with."""

    bank: FilterBank = field(default_factory=FilterBank)
    """The filter bank."""
    normalisation: Normalisation | None = None
    """Its normalisation; None leaves log energies."""

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Features [T, F] float32 of a whole signal [N]."""
        return self.normalised(self.bank(samples))

    def warped(self, samples: np.ndarray, factor: float) -> np.ndarray:
        """Features [T, F] as if the speaker's vocal tract were shorter (factor < 1) or longer: `FilterBank.warped`.

        A model's answers averaged over a few factors around 1 are less a matter of the speaker.
        """
        energy = self.bank.power(samples) @ self.bank.filters(self.bank.warped(factor))
        return self.normalised(np.log(np.maximum(energy, 1.0)))

    @classmethod
    def fit(
        cls,
        bank: FilterBank,
        signals: Iterable[np.ndarray],
        *,
        prior_frames: float | None = None,
        floor_db: float | None = None,
    ) -> "Features":
        """Measure the normalisation on training signals [N]; for its options see `Normalisation`."""
        energies = [bank(samples) for samples in signals]
        return cls(bank, Normalisation.fit(energies, prior_frames=prior_frames, floor_db=floor_db))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; exact."""
        normalisation = None if self.normalisation is None else self.normalisation.to_dict()
        return {"bank": asdict(self.bank), "normalisation": normalisation}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Features":
        """Read what `to_dict` gave."""
        found = content["normalisation"]
        return cls(FilterBank(**content["bank"]), None if found is None else Normalisation.from_dict(found))

    def normalised(self, x: np.ndarray) -> np.ndarray:
        """Normalise log energies [T, F], if there is a normalisation."""
        return x if self.normalisation is None else self.normalisation(x)


def _kaldi(bank: FilterBank) -> Any:
    kaldi = require("kaldi_native_fbank", extra="audio")
    options = kaldi.FbankOptions()
    options.frame_opts.samp_freq = bank.rate
    options.frame_opts.frame_length_ms = bank.window_ms
    options.frame_opts.frame_shift_ms = bank.hop_ms
    options.frame_opts.dither = 0.0
    options.frame_opts.preemph_coeff = PREEMPHASIS
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = bank.bands
    options.mel_opts.low_freq = bank.low_hz
    options.mel_opts.high_freq = bank.top_hz
    options.energy_floor = 0.0
    return kaldi.OnlineFbank(options)
