"""Mel filters: triangles equally spaced on mel(f) = 1127 ln(1 + f / 700), and the Povey window. NumPy alone."""

import numpy as np


def hz_to_mel(f: np.ndarray | float) -> np.ndarray:
    """mel(f) = 1127 ln(1 + f / 700)."""
    return 1127.0 * np.log1p(np.asarray(f, np.float64) / 700.0)


def mel_to_hz(m: np.ndarray | float) -> np.ndarray:
    """f = 700 (exp(mel / 1127) - 1)."""
    return 700.0 * np.expm1(np.asarray(m, np.float64) / 1127.0)


def edges(low_hz: float, high_hz: float, bands: int) -> np.ndarray:
    """The frequencies in Hz [bands + 2] where filters begin, peak and end: filter k lies on edges k to k + 2."""
    return mel_to_hz(np.linspace(hz_to_mel(low_hz), hz_to_mel(high_hz), bands + 2))


def triangles(edges: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Weights [bins, bands] float32 of triangular filters on `edges` in Hz, for bins at `frequencies` in Hz."""
    points = hz_to_mel(edges)
    left, centre, right = points[:-2], points[1:-1], points[2:]
    mel = hz_to_mel(frequencies)[:, None]
    up, down = (mel - left) / (centre - left), (right - mel) / (right - centre)
    return np.maximum(np.minimum(up, down), 0.0).astype(np.float32)


def povey(window: int) -> np.ndarray:
    """The window of Kaldi's filter banks [window] float32: a Hann window to the power 0.85."""
    phase = 2 * np.pi * np.arange(window) / (window - 1)
    return ((0.5 - 0.5 * np.cos(phase)) ** 0.85).astype(np.float32)
