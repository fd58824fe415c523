"""Turn about: who runs when, and how long."""

import gc

import pytest

from karussell.bench.timing import turn_about


class Time:
    """A clock that only calls move."""

    def __init__(self) -> None:
        self.now, self.order = 0.0, []

    def side(self, name: str, seconds: float):
        def call() -> None:
            self.now += seconds
            self.order.append(name)

        return call

    def __call__(self) -> float:
        return self.now


def test_sides_take_turns_in_an_order_that_turns_round():
    time = Time()
    sides = {"a": time.side("a", 1.0), "b": time.side("b", 2.0)}
    found = turn_about(sides, seconds=9.0, least=3, clock=time)
    assert found == {"a": [1.0, 1.0, 1.0], "b": [2.0, 2.0, 2.0]}
    # a call each to warm up, then the rounds
    assert "".join(time.order) == "ab" + "ab" + "ba" + "ab"


def test_short_calls_are_measured_several_at_a_time():
    time = Time()
    found = turn_about({"a": time.side("a", 1e-4)}, seconds=0.01, least=2, clock=time)
    assert found["a"] == pytest.approx([1e-4] * len(found["a"]))
    assert len(time.order) == 1 + 1 + 3 + 20 * len(found["a"])


def test_rounds_fill_the_time_and_slow_sides_end_early():
    time = Time()
    assert len(turn_about({"a": time.side("a", 0.1)}, seconds=2.0, clock=time)["a"]) == pytest.approx(20, abs=1)
    assert len(turn_about({"a": time.side("a", 1.0)}, seconds=0.1, clock=time)["a"]) == 3


def test_garbage_collection_is_as_before_even_after_an_error():
    def fails() -> None:
        if not gc.isenabled():
            raise RuntimeError

    with pytest.raises(RuntimeError):
        turn_about({"a": fails}, seconds=0.1)
    assert gc.isenabled()
