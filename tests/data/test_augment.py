from dataclasses import fields, replace

import numpy as np
import pytest

from karussell.data import Augment, Features, FilterBank
from karussell.data.augment import (
    add_noise,
    equaliser,
    mask,
    reverberate,
    speed,
    stretch,
    tempo_positions,
    warped_edges,
)
from karussell.errors import InputError

OFF = Augment(0, 0, 0, 0, (0, 40), 0, 0, 0, 0, 0, 0, 0, 0, 0)
BANK = FilterBank(bands=32)


def signal(n: int = 16000, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(n) * (1 + np.sin(np.arange(n) / 900))).astype(np.float32)


def features() -> Features:
    return Features.fit(BANK, [signal(seed=1), signal(seed=2)], prior_frames=100, floor_db=-50)


def test_off_is_the_filter_bank() -> None:
    found = features()
    assert np.allclose(OFF(signal(), found, np.random.default_rng(0)).x, found(signal()), atol=1e-4)


def test_the_generator_decides_everything() -> None:
    found, x = features(), signal()
    before = x.copy()
    first, again, other = (Augment()(x, found, np.random.default_rng(seed)).x for seed in ([3, 1], [3, 1], [3, 2]))
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.allclose(first, other)
    assert np.array_equal(x, before)
    power = BANK.power(x)
    kept = power.copy()
    assert np.array_equal(Augment().of_power(power, found, np.random.default_rng([3, 1])).x, first)
    assert np.array_equal(power, kept)


@pytest.mark.parametrize("name", [field.name for field in fields(Augment)])
def test_every_field_changes_something(name: str) -> None:
    found = Features(BANK)
    base = replace(OFF, noise=1.0) if name == "snr_db" else OFF
    if name.endswith(("mask", "masks")):
        base = replace(OFF, frequency_masks=2, frequency_mask=4, time_masks=2.0, time_mask=4)
        varied = replace(base, **{name: 2 * getattr(base, name)})
    else:
        value = (-10.0, 0.0) if name == "snr_db" else 1.0 if name in ("noise", "reverb") else 0.3
        varied = replace(base, **{name: value})
    one, two = (augment(signal(), found, np.random.default_rng(5)).x for augment in (base, varied))
    assert one.shape != two.shape or not np.allclose(one, two, atol=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_drawn_is_finite_and_near_its_length(seed: int) -> None:
    strong = Augment(0.4, 0.3, 20, 1, (-10, 10), 0.4, 0.1, 10, 10, 1, 4, 40, 5, 100)
    for n in (400, 1000, 30000):
        y, source = strong(signal(n), features(), np.random.default_rng(seed))
        assert len(source) == len(y)
        assert source[0] == 0
        assert source[-1] == BANK.frames(n) - 1
        assert (np.diff(source) >= 0).all()
        assert y.dtype == np.float32
        assert y.shape[1] == 32
        assert 0.4 < len(y) / BANK.frames(n) < 2.1
        assert np.isfinite(y).all()


def test_tempo_is_the_length_and_keeps_ends_and_spectra() -> None:
    power = BANK.power(signal(80000))
    n = len(power)
    lengths = [len(tempo_positions(n, np.random.default_rng(k), 0.25, 0.0, 50)) / n for k in range(200)]
    assert np.exp(-0.25) - 0.01 < min(lengths) < 0.8
    assert 1.25 < max(lengths) < np.exp(0.25) + 0.01
    positions = tempo_positions(n, np.random.default_rng(0), 0.25, 0.1, 50)
    assert (positions[0], positions[-1]) == (0, n - 1)
    pace = np.diff(positions)
    assert np.exp(-0.351) < pace.min() < pace.max() < np.exp(0.351)
    assert pace.max() / pace.min() < np.exp(0.201)
    y = stretch(power, positions)
    k = len(y) // 2
    low, high = power[int(positions[k])], power[int(positions[k]) + 1]
    assert np.allclose(y[k], low + (positions[k] % 1) * (high - low), rtol=1e-3)
    same = tempo_positions(n, np.random.default_rng(0), 0.0, 0.0, 50)
    assert np.allclose(stretch(power, same), power, rtol=1e-4)
    assert tempo_positions(1, np.random.default_rng(0), 0.25, 0.1, 50).tolist() == [0]
    assert len(stretch(power[:1], np.zeros(1))) == 1


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 10.0, 30.0])
def test_noise_has_the_level_that_was_asked(snr_db: float) -> None:
    power = BANK.power(signal(80000))
    noisy = add_noise(power, np.random.default_rng(1), BANK, snr_db)
    added = noisy.sum() / power.sum() - 1
    assert added == pytest.approx(10 ** (-snr_db / 10), rel=0.15, abs=0.02)
    assert (noisy >= 0).all()


def test_warped_edges_rise_and_leave_no_filter_empty() -> None:
    for bank in (BANK, FilterBank(), FilterBank(rate=16000, bands=80), FilterBank(high_hz=3000)):
        for seed in range(300):
            edges = warped_edges(bank, np.random.default_rng(seed), 0.4, 0.1)
            assert (np.diff(edges) > 0).all()
            assert 0 <= edges[0] < edges[-1] <= bank.rate / 2
            assert (bank.filters(edges).sum(axis=0) > 0).all()
    assert np.allclose(warped_edges(BANK, np.random.default_rng(0), 0.0, 0.0)[:20], BANK.edges[:20])


def test_a_warp_moves_a_tone() -> None:
    tone = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)).astype(np.float32)
    peaks = []
    for seed in range(30):
        edges = warped_edges(BANK, np.random.default_rng(seed), 0.2, 0.0)
        peaks.append(int((BANK.power(tone) @ BANK.filters(edges)).mean(axis=0).argmax()))
    middle = int(BANK(tone).mean(axis=0).argmax())
    assert min(peaks) < middle < max(peaks)


def test_equaliser_reverberation_and_masks() -> None:
    db = 10 * np.log10(np.stack([equaliser(32, np.random.default_rng(k), 3.0, 2.0) for k in range(300)]))
    assert 4 < np.abs(db).max() <= 5.0
    impulse = np.zeros((40, 2), np.float32)
    impulse[5] = 1.0
    tail = reverberate(impulse, np.random.default_rng(0), 0.01)
    assert np.array_equal(tail[:6], impulse[:6])
    assert (np.diff(tail[6:29, 0]) < 0).all()
    assert 10**-2.01 < tail[6:, 0].sum() < 10**-0.39
    x = np.ones((50, 32), np.float32)
    y = mask(x, np.random.default_rng(3), 2, 6, 3, 8)
    assert x.all()
    assert set(np.unique(y)) == {0.0, 1.0}
    assert (y.sum(axis=0) == 0).sum() <= 12
    assert (y.sum(axis=1) == 0).sum() <= 24
    assert mask(x, np.random.default_rng(0), 3, 100, 3, 100).shape == x.shape


def test_speed_changes_length_and_pitch() -> None:
    tone = (0.5 * np.sin(2 * np.pi * 500 * np.arange(8000) / 8000)).astype(np.float32)
    fast = speed(tone, 1.25, 8000)
    assert len(fast) == pytest.approx(6400, abs=2)
    assert np.abs(np.fft.rfft(fast[:6400])).argmax() * 8000 / 6400 == pytest.approx(625, abs=2)
    with pytest.raises(InputError, match="factor"):
        speed(tone, 0.0, 8000)


@pytest.mark.parametrize(
    "bad", [{"tempo": -0.1}, {"warp": 0.9}, {"noise": 1.5}, {"snr_db": (3.0, 1.0)}, {"eq_db": -1.0}, {"time_mask": -1}]
)
def test_bad_amounts(bad: dict) -> None:
    with pytest.raises(InputError, match="augment"):
        Augment(**bad)
