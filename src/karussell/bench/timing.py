"""Several sides timed in one process, turn about."""

import gc
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

# shorter samples are measured in several calls: a clock's tick and the loop must not show
_SAMPLE = 2e-3
_MOST_CALLS = 2000
# what takes this long is warm after one call
_SLOW = 0.05

Key = TypeVar("Key", bound=Hashable)


def turn_about(
    sides: Mapping[Key, Callable[[], object]],
    seconds: float,
    least: int = 5,
    most: int = 200,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Key, list[float]]:
    """Seconds a call of every side, one value a round, in about `seconds` altogether.

    In every round each side runs once, in an order that is turned round from one round to the next, so that whatever
    drifts meets all sides alike. There are at least `least` rounds, but where they would take four times the seconds
    three have to do.
    """
    names = list(sides)
    calls = {name: _calls(sides[name], clock) for name in names}
    found: dict[Key, list[float]] = {name: [] for name in names}
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        begin = clock()
        for turn in range(most):
            for name in names if turn % 2 == 0 else reversed(names):
                found[name].append(_sample(sides[name], calls[name], clock))
            spent, done = clock() - begin, turn + 1
            if done >= least and spent >= seconds:
                break
            if done >= 3 and spent >= 4 * seconds:
                break
    finally:
        if collecting:
            gc.enable()
    return found


def _calls(call: Callable[[], object], clock: Callable[[], float]) -> int:
    """Warm up, and find how many calls make a sample long enough."""
    once = _sample(call, 1, clock)
    if once > _SLOW:
        return 1
    once = _sample(call, 1, clock)
    if once < _SAMPLE:
        once = min(once, _sample(call, 3, clock))
    return max(1, min(_MOST_CALLS, round(_SAMPLE / max(once, 1e-9))))


def _sample(call: Callable[[], object], calls: int, clock: Callable[[], float]) -> float:
    begin = clock()
    for _ in range(calls):
        call()
    return (clock() - begin) / calls
