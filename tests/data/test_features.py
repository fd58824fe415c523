import json

import numpy as np
import pytest

from karussell.data import Features, FilterBank, Normalisation
from karussell.errors import InputError

# float32 logarithms of sums of some hundred squares
ATOL = 1e-4


def signal(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    # speech-like: loud and quiet stretches, falling spectrum
    x = np.cumsum(rng.standard_normal(n)) * 0.01 * (1 + np.sin(np.arange(n) / 900)) + 0.01 * rng.standard_normal(n)
    return (0.5 * x / np.abs(x).max()).astype(np.float32)


BANKS = [
    FilterBank(),
    FilterBank(bands=32),
    FilterBank(rate=16000, bands=80, low_hz=20, high_hz=-400),
    FilterBank(rate=11025, window_ms=32, hop_ms=8),
    FilterBank(window_ms=20, hop_ms=20, bands=20, high_hz=3500),
]


@pytest.mark.parametrize("bank", BANKS)
@pytest.mark.parametrize("n", [400, 441, 8001, 30000])
def test_streaming_is_the_whole_exactly(bank: FilterBank, n: int) -> None:
    x = signal(n)
    whole = bank(x)
    assert whole.shape == (bank.frames(n), bank.bands)
    assert whole.dtype == np.float32
    for most in (1 if n < 500 else 37, 80, 5000, n):
        rng = np.random.default_rng(most)
        stream, parts, at = bank.online(), [], 0
        while at < n:
            step = int(rng.integers(0, most + 1))
            parts.append(stream.push(x[at : at + step]))
            at += step
        parts.append(stream.finish())
        assert np.array_equal(np.concatenate(parts), whole)
        assert len(stream.finish()) == 0


def test_a_stream_gives_frames_before_its_end() -> None:
    stream = FilterBank().online()
    assert len(stream.push(signal(8000))) >= 98
    stream.finish()
    with pytest.raises(RuntimeError, match="push after finish"):
        stream.push(signal(10))


@pytest.mark.parametrize("bank", BANKS)
@pytest.mark.parametrize("n", [400, 441, 8001])
def test_power_and_filters_are_the_bank_written_out(bank: FilterBank, n: int) -> None:
    x = signal(n)
    mine = np.log(np.maximum(bank.power(x) @ bank.filters(), 1.0))
    assert np.allclose(mine, bank(x), atol=ATOL)


def test_one_frame_by_the_equations() -> None:
    bank, x = FilterBank(), signal(8000)
    t = 50
    start = t * 80 + 40 - 100
    frame = x[start : start + 200].astype(np.float64) * 32768
    frame = frame - frame.mean()
    frame = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
    frame = frame * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 199)) ** 0.85
    power = np.abs(np.fft.rfft(frame, 256)) ** 2
    mel = 1127 * np.log(1 + np.arange(129) * 8000 / 256 / 700)
    low, high = 1127 * np.log(1 + 60 / 700), 1127 * np.log(1 + 4000 / 700)
    step = (high - low) / 41
    for band in range(40):
        centre = low + (band + 1) * step
        weight = np.maximum(1 - np.abs(mel - centre) / step, 0)
        assert bank(x)[t, band] == pytest.approx(np.log((weight * power).sum()), abs=ATOL)


def test_silence_and_loudness() -> None:
    bank = FilterBank()
    assert np.array_equal(bank(np.zeros(800, np.float32)), np.zeros((10, 40), np.float32))
    x = signal(8000)
    assert np.allclose(bank(x) - bank(x / 4), np.log(16), atol=0.02)
    assert bank.power(np.zeros(0, np.float32)).shape == (0, 128)
    assert bank(np.zeros(0, np.float32)).shape == (0, 40)


def test_a_warp_moves_a_tone_and_one_is_the_bank() -> None:
    tone = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)).astype(np.float32)
    features = Features(FilterBank())
    peaks = [int(features.warped(tone, factor).mean(axis=0).argmax()) for factor in (0.8, 0.9, 1.0, 1.1, 1.25)]
    assert peaks == sorted(set(peaks), reverse=True)
    assert np.allclose(features.bank.warped(1.0), features.bank.edges, rtol=0.02)
    assert np.allclose(features.warped(signal(8000), 1.0)[:, :30], features(signal(8000))[:, :30], atol=ATOL)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"bands": 0}, "no filter bank"),
        ({"hop_ms": 0.0}, "no filter bank"),
        ({"hop_ms": 30.0}, "no filter bank"),
        ({"high_hz": 5000.0}, "low_hz < high_hz <= 4000 Hz"),
        ({"low_hz": 4000.0}, "low_hz < high_hz"),
        ({"bands": 120}, "filters are empty"),
    ],
)
def test_bad_banks(options: dict, match: str) -> None:
    with pytest.raises(InputError, match=match):
        FilterBank(**options)


def test_global_normalisation_is_mean_and_deviation() -> None:
    rows = [FilterBank()(signal(n, n)) for n in (4000, 9000, 12000)]
    norm = Normalisation.fit(rows)
    y = np.concatenate([norm(x) for x in rows])
    assert np.allclose(y.mean(axis=0), 0, atol=1e-4)
    assert np.allclose(y.std(axis=0), 1, atol=1e-3)
    x = rows[0]
    assert np.allclose(norm(x), (x - norm.mean) / norm.std, atol=1e-6)


def test_utterance_mean_by_the_equation() -> None:
    rows = [FilterBank()(signal(n, n)) for n in (4000, 9000, 12000)]
    norm = Normalisation.fit(rows, prior_frames=100.0)
    x = rows[1]
    energy = np.exp(x.astype(np.float64)).mean(axis=1)
    loud = energy >= energy.mean() * 10**-1.5
    share = loud.sum() / (loud.sum() + 100)
    centre = share * x[loud].mean(axis=0) + (1 - share) * norm.mean
    assert np.allclose(norm(x), (x - centre) / norm.std, atol=1e-4)
    # with no prior a filter in the channel vanishes
    channel = np.linspace(-0.1, 0.1, 40, dtype=np.float32)
    alone = Normalisation.fit(rows, prior_frames=0.0)
    assert np.allclose(alone(x + channel), alone(x), atol=0.05)


def test_levelled_features_do_not_see_loudness() -> None:
    bank = FilterBank()
    rows = [bank(signal(n, n)) for n in (4000, 9000, 12000)]
    norm = Normalisation.fit(rows, floor_db=-50)
    x = bank(signal(9000, 1))
    assert np.allclose(norm(x + 2.0), norm(x), atol=ATOL)
    energy = np.exp(x.astype(np.float64))
    expected = np.log(energy / energy.mean() + 1e-5)
    assert np.allclose(norm(x), (expected - norm.mean) / norm.std, atol=ATOL)
    # digital silence is no exception
    assert np.isfinite(norm(bank(np.zeros(800, np.float32)))).all()


@pytest.mark.parametrize("options", [{}, {"prior_frames": 50.0}, {"floor_db": -40.0, "prior_frames": 0.0}])
def test_features_round_trip_through_json(options: dict) -> None:
    features = Features.fit(FilterBank(bands=24), [signal(n, n) for n in (4000, 9000)], **options)
    again = Features.from_dict(json.loads(json.dumps(features.to_dict())))
    x = signal(5000, 5)
    assert np.array_equal(features(x), again(x))
    plain = Features(FilterBank(bands=24))
    assert np.array_equal(Features.from_dict(plain.to_dict())(x), FilterBank(bands=24)(x))


def test_nothing_to_fit_on() -> None:
    with pytest.raises(InputError, match="at least one"):
        Normalisation.fit([])
