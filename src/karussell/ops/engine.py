"""Which engine runs a recurrence: the choice, and what ran.

reference  plain torch, one step after another: any dtype, any order of derivative; the oracle
vendor     torch's own fused kernel, where the cell is exactly the one it has
cpp        any cell's program compiled into one loop for the CPU
triton     the same program printed as kernels for CUDA devices
scan       cells whose gates do not see the past, all steps at once, in plain torch
auto       the fastest that can run what was asked
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum


class Engine(StrEnum):
    """The engines a recurrence can be asked to run on."""

    auto = "auto"
    reference = "reference"
    vendor = "vendor"
    cpp = "cpp"
    scan = "scan"
    triton = "triton"


_ran = threading.local()


def record(engine: Engine) -> None:
    """Note that this engine ran; called by the recurrence alone."""
    for seen in getattr(_ran, "watchers", ()):
        seen.append(engine)


@contextmanager
def watch() -> Iterator[list[Engine]]:
    """Collect the engines that run in this thread inside the `with` block, one entry a recurrence."""
    seen: list[Engine] = []
    _ran.watchers = (*getattr(_ran, "watchers", ()), seen)
    try:
        yield seen
    finally:
        _ran.watchers = tuple(w for w in _ran.watchers if w is not seen)
