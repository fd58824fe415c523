"""Schedule, average, keys and batches ahead: each against its equation."""

import math
import threading
import time

import pytest
import torch
from torch import nn

from karussell.train.average import Average
from karussell.train.prefetch import ahead
from karussell.train.randomness import key, keyed
from karussell.train.schedule import warmup_cosine


def test_the_schedule_is_its_equation() -> None:
    def rate(done: float) -> float:
        return warmup_cosine(done, peak=2.0, warmup=0.1, start=0.3, final=0.05)

    assert rate(0) == pytest.approx(0.6)
    assert rate(0.05) == pytest.approx(2 * 0.65)
    assert rate(0.1) == 2.0
    assert rate(0.55) == pytest.approx(2.0 * (0.05 + 0.95 / 2))
    assert rate(0.8) == pytest.approx(2.0 * (0.05 + 0.95 * (1 + math.cos(math.pi * 0.7 / 0.9)) / 2))
    assert rate(1) == pytest.approx(0.1)
    assert warmup_cosine(0, peak=1.0, warmup=0.0, start=0.0, final=0.0) == 1.0
    assert warmup_cosine(1, peak=1.0, warmup=1.0, start=0.0, final=0.5) == 0.5


def test_the_average_is_its_equation() -> None:
    model = nn.BatchNorm1d(2)
    average = Average(model, 0.9)
    expected = 1.0
    for updates, value in enumerate([3.0, -1.0, 2.0]):
        nn.init.constant_(model.weight, value)
        model.num_batches_tracked.add_(1)
        average.update(model, updates)
        decay = min(0.9, (1 + updates) / (10 + updates))
        expected = decay * expected + (1 - decay) * value
    assert average.tensors["weight"].tolist() == pytest.approx([expected] * 2)
    with average.in_place_of(model):
        assert model.weight.tolist() == pytest.approx([expected] * 2)
        assert int(model.num_batches_tracked) == 3
    assert model.weight.tolist() == [2.0, 2.0]


def test_keys_differ_and_repeat() -> None:
    parts = [(0,), (1,), (1, 0), (0, 1), (1, 0, 0), (2**40,), (2**40 + 1,), (1, 2**32)]
    assert len({key(*part) for part in parts}) == len(parts)
    assert key(5, 6) == key(5, 6)


def test_keyed_blocks_repeat() -> None:
    with keyed(torch.device("cpu"), 1, 2):
        first = torch.rand(3)
    with keyed(torch.device("cpu"), 1, 2):
        assert torch.equal(first, torch.rand(3))


class Recorded:
    def __init__(self) -> None:
        self.made: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> int:
        self.made.append((index, threading.current_thread().name))
        if index == 6:
            raise ValueError("the seventh")
        return index * index


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_batches_come_in_order_and_errors_come_through(depth: int) -> None:
    batches, got = Recorded(), []
    with pytest.raises(ValueError, match="the seventh"):
        got.extend(ahead(batches, 2, depth))
    assert got == [4, 9, 16, 25]


def test_no_more_than_depth_batches_are_made_ahead() -> None:
    batches = Recorded()
    stream = ahead(batches, 0, 2)
    next(stream)
    time.sleep(0.1)
    assert len(batches.made) <= 3
    stream.close()
    assert all("karussell" in name for _, name in batches.made)
