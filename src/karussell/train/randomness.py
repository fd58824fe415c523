"""Random numbers that survive a resume: keyed by what they are for, never by the order of calls."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def key(*parts: int) -> int:
    """A 64-bit seed from whole numbers such as (seed, step): equal parts, equal seed; else unrelated."""
    # each part as a fixed number of 32-bit words, so that (1, 0) and (1,) differ and no carry mixes them
    words = [word for part in parts for word in (part & 0xFFFFFFFF, (part >> 32) & 0xFFFFFFFF)]
    return int(np.random.SeedSequence([len(parts), *words]).generate_state(1, np.uint64)[0])


@contextmanager
def keyed(device: torch.device, *parts: int) -> Iterator[None]:
    """Run a block under torch's generators seeded with `key(*parts)`; afterwards they are as they were."""
    if device.type == "cpu":
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(key(*parts))
            yield
    else:
        with torch.random.fork_rng(devices=[device.index or 0], device_type=device.type):
            torch.default_generator.manual_seed(key(*parts))
            torch.get_device_module(device).manual_seed(key(*parts))
            yield
