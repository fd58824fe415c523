"""Steps of series: found in times, named, and laid on a grid and back."""

import numpy as np
import pytest

from karussell.data.series_step import Step, find_step
from karussell.errors import InputError


def nanoseconds(*times: str) -> np.ndarray:
    return np.array(times, dtype="datetime64[ns]").astype(np.int64)


@pytest.mark.parametrize(
    ("first", "count", "unit", "name", "seasons"),
    [
        ("2026-01-01T00", 30, "h", "h", (24, 168)),
        ("2026-01-01T00:00", 30, "m", "min", (1440, 10080)),
        ("2026-01-01", 30, "D", "D", (7, 365)),
        ("2026-01-01T00:00:00", 30, "s", "s", (86400, 604800)),
    ],
)
def test_fixed_steps_are_found(first: str, count: int, unit: str, name: str, seasons: tuple[int, ...]) -> None:
    times = np.datetime64(first) + np.arange(count).astype(f"timedelta64[{unit}]")
    step = find_step([times.astype("datetime64[ns]").astype(np.int64)], "time")
    assert (step.name, step.seasons()) == (name, seasons)
    assert Step.named(name) == step
    assert Step.from_json(step.to_json()) == step


@pytest.mark.parametrize(
    ("times", "name", "seasons"),
    [
        (("2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"), "MS", (12,)),
        (("2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"), "ME", (12,)),
        (("2026-01-15", "2026-02-15", "2026-03-15"), "MS", (12,)),
        (("2026-01-01", "2026-04-01", "2026-07-01"), "QS", (4,)),
        (("2024-01-01", "2025-01-01", "2026-01-01"), "YS", ()),
        # a gap of a month does not make it two months
        (("2026-01-01", "2026-02-01", "2026-04-01", "2026-05-01"), "MS", (12,)),
    ],
)
def test_months_come_back_as_they_were(times: tuple[str, ...], name: str, seasons: tuple[int, ...]) -> None:
    given = nanoseconds(*times)
    step = find_step([given], "time")
    assert (step.name, step.seasons()) == (name, seasons)
    assert (step.times(step.ticks(given)).astype(np.int64) == given).all()


def test_weeks_have_a_year_and_numbers_have_none() -> None:
    weeks = nanoseconds("2026-01-05", "2026-01-12", "2026-01-19")
    assert find_step([weeks], "time").seasons() == (52,)
    assert find_step([np.array([3, 5, 7, 11])], "number") == Step("number", 2)
    assert Step.named("2").seasons() == ()


def test_what_cannot_be_seen_or_read_is_said() -> None:
    with pytest.raises(InputError, match=r"no series has two rows.*--table\.freq"):
        find_step([np.array([1])], "number")
    with pytest.raises(InputError, match="frequency 'fortnight' is not known"):
        Step.named("fortnight")
    step = find_step([nanoseconds("2026-01-01", "2026-02-01", "2026-03-01")], "time")
    with pytest.raises(InputError, match="does not lie on the grid of step MS"):
        step.ticks(nanoseconds("2026-01-01", "2026-01-17"))


def test_a_step_in_words() -> None:
    said = {name: Step.named(name).words for name in ("h", "15min", "D", "2W", "MS", "QE", "1", "7")}
    assert said == {
        "h": "an hour",
        "15min": "15 minutes",
        "D": "a day",
        "2W": "2 weeks",
        "MS": "a month",
        "QE": "a quarter",
        "1": "1",
        "7": "7",
    }
