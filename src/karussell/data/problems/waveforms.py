"""Short waveforms to generate without any input, in place of the five sounds of Koutnik et al. 2014."""

import numpy as np


def waveform(number: int, samples: int = 320) -> np.ndarray:
    """Waveform 0 to 4: partials of a slow tone, each with its own phase and decay, between -1 and 1."""
    rng = np.random.default_rng([2014, number])
    t = np.arange(samples) / samples
    y = np.zeros(samples)
    for partial in range(1, 4):
        cycles = rng.uniform(2.0, 4.0) * partial
        decay, phase = rng.uniform(0.0, 2.0), rng.uniform(0.0, 2 * np.pi)
        y += np.exp(-decay * t) * np.sin(2 * np.pi * cycles * t + phase) / partial
    return y / np.abs(y).max()
