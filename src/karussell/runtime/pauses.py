"""Where a long recording may be cut: in its pauses, found by their energy."""

import numpy as np

# pauses shorter than this lie inside words: closures of stops last up to 0.15 s
PAUSE_SECONDS = 0.2
STEP_SECONDS = 0.01


def cut_at_pauses(samples: np.ndarray, rate: int, *, longest: float = 20.0) -> list[tuple[int, int]]:
    """Cut samples [N] into pieces (first, last + 1) of at most `longest` seconds, each cut in the quietest place.

    A recording that is short enough stays whole. A cut lies where the mean energy over 0.2 s is least within
    the second half of the piece, so that pieces last from half of `longest` to all of it, and the rest is
    never a splinter.
    """
    most = int(longest * rate)
    if len(samples) <= most:
        return [(0, len(samples))]
    hop = max(1, int(STEP_SECONDS * rate))
    loudness = _loudness(samples, hop, max(1, round(PAUSE_SECONDS / STEP_SECONDS)))
    pieces, first = [], 0
    while len(samples) - first > most:
        low = first + most // 2
        # what remains after the last cut is at least a quarter of a piece
        high = min(first + most, len(samples) - most // 4)
        window = loudness[low // hop : high // hop]
        cut = (low // hop + int(window.argmin())) * hop if len(window) else high
        pieces.append((first, cut))
        first = cut
    return [*pieces, (first, len(samples))]


def _loudness(samples: np.ndarray, hop: int, width: int) -> np.ndarray:
    """Mean energy of `width` steps around each step of `hop` samples."""
    count = len(samples) // hop
    energy = np.square(samples[: count * hop].reshape(count, hop), dtype=np.float64).mean(1)
    sums = np.concatenate([[0.0], np.cumsum(np.pad(energy, (width // 2, width - 1 - width // 2), mode="edge"))])
    return (sums[width:] - sums[:-width]) / width
