"""Welch's and Fisher's tests against printed values and against scipy where it is installed."""

import numpy as np
import pytest

from karussell.landmarks.landmark import Row
from karussell.landmarks.odyssey.importance import shares
from karussell.landmarks.statistics import deviation, fisher, incomplete_beta, welch
from karussell.landmarks.window import Window, thinned, until


def test_fisher_on_the_lady_tasting_tea() -> None:
    assert fisher(3, 4, 1, 4) == pytest.approx(0.4857142857)
    assert fisher(4, 4, 0, 4) == pytest.approx(2 / 70)
    assert fisher(5, 5, 5, 5) == 1.0


def test_welch_on_known_numbers() -> None:
    # Student's t with 8 degrees of freedom: p = 0.3466 at t = 1
    assert welch([1, 2, 3, 4, 5], [2, 3, 4, 5, 6]) == pytest.approx(0.34659, abs=1e-5)
    assert welch([1.0], [2.0, 3.0]) == 1.0
    assert welch([2.0, 2.0], [2.0, 2.0]) == 1.0
    assert welch([2.0, 2.0], [3.0, 3.0]) == 0.0
    assert deviation([1.0, 3.0]) == pytest.approx(2**0.5)


def test_incomplete_beta_of_simple_cases() -> None:
    for x in (0.1, 0.5, 0.9):
        assert incomplete_beta(1, 1, x) == pytest.approx(x)
        assert incomplete_beta(2, 1, x) == pytest.approx(x * x)
    assert incomplete_beta(3, 4, 0.0) == 0.0


def test_against_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.normal(size=rng.integers(2, 9)), rng.normal(1, 2, size=rng.integers(2, 9))
        assert welch(a.tolist(), b.tolist()) == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue, rel=1e-9)
        k, n = sorted(rng.integers(0, 10, 2))
        assert fisher(k, n, 3, 7) == pytest.approx(stats.fisher_exact([[k, n - k], [3, 4]]).pvalue, rel=1e-9)


def test_window_and_until() -> None:
    window = Window(3)
    window.feed(np.array([0.1, 0.5]), np.array([0.1, 0.5]))
    assert not window.right(1.0)
    assert window.wrong(0.2) == 2
    window.feed(np.array([0.1, 0.1]), np.array([0.1, 0.1]))
    assert window.wrong(0.2) == 1
    assert window.average() == pytest.approx(0.7 / 3)
    error = iter([0.9, 0.5, 0.2, 0.05, 0.01])

    def step() -> tuple[np.ndarray, np.ndarray]:
        value = np.full(2, next(error))
        return value, value

    learned = until(step, 100, lambda w: w.right(0.1), lambda w: w.right(0.3), size=2)
    assert (learned.reached, learned.strict, learned.seen) == (6, 8, 8)
    assert thinned([(float(k), 1.0) for k in range(100)], 10)[-1] == (99.0, 1.0)


def drawn(seed: int, variant: int, noise_matters: float = 0.0) -> Row:
    rng = np.random.default_rng(seed)
    rate, units, noise = rng.uniform(-3.5, -1.5), int(2 ** rng.uniform(3.0, 5.5)), rng.choice([0.0, 0.1])
    value = 10 ** ((rate + 2.5) ** 2 + 0.01 * variant + noise_matters * noise)
    return Row("arm", seed, True, True, value, {"log10 learning rate": rate, "units": units, "noise": noise}, 1.0)


def test_the_hyper_parameter_that_matters_is_named() -> None:
    """A score made of the learning rate alone belongs to it alone; with noise beside it both have their share."""
    found = shares([[drawn(seed, k) for seed in range(20)] for k in range(3)])
    assert found is not None
    parts, fit = found
    assert fit == pytest.approx(1.0, abs=1e-9)
    assert parts["learning rate"] == pytest.approx(1.0, abs=0.01)
    assert max(parts["units"], parts["noise on the input"], parts["variant"]) < 0.01
    found = shares([[drawn(seed, k, 5.0) for seed in range(20)] for k in range(3)])
    assert found is not None
    assert 0.05 < found[0]["noise on the input"] < 1
    assert shares([[drawn(seed, 0) for seed in range(7)]]) is None
