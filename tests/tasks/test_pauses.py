"""Long recordings are cut in their pauses, and nowhere else."""

from itertools import pairwise

import numpy as np
import pytest

from karussell.tasks import cut_at_pauses

RATE = 8000


def speech(seconds: float, pauses: list[float]) -> np.ndarray:
    """Noise with pauses of 0.4 s that begin at the given seconds."""
    samples = np.random.default_rng(0).standard_normal(int(seconds * RATE)).astype(np.float32) * 0.1
    for start in pauses:
        samples[int(start * RATE) : int((start + 0.4) * RATE)] *= 0.01
    return samples


def test_short_recordings_stay_whole() -> None:
    assert cut_at_pauses(speech(5, [1, 3]), RATE, longest=5) == [(0, 5 * RATE)]


def test_cuts_lie_in_pauses_and_pieces_cover_everything() -> None:
    pauses = [3.0, 8.0, 13.5, 17.0, 22.0, 26.0]
    samples = speech(30, pauses)
    pieces = cut_at_pauses(samples, RATE, longest=10)
    assert pieces[0][0] == 0
    assert pieces[-1][1] == len(samples)
    assert all(before[1] == after[0] for before, after in pairwise(pieces))
    for _, cut in pieces[:-1]:
        assert any(start <= cut / RATE <= start + 0.4 for start in pauses)


@pytest.mark.parametrize("seconds", [10.001, 10.5, 15.0, 20.1, 61.7])
def test_no_piece_is_too_long_or_a_splinter(seconds: float) -> None:
    pieces = cut_at_pauses(speech(seconds, []), RATE, longest=10)
    lengths = [(last - first) / RATE for first, last in pieces]
    assert max(lengths) <= 10
    assert min(lengths) >= 2.4
