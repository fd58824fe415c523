"""A time budget: the fit ends in time, with a validation and the best weights."""

import time
from pathlib import Path

import pytest
import torch
from torch import nn

from karussell.errors import InputError
from karussell.train import TrainConfig, fit


class Slow:
    """An epoch without an end, for a machine of any speed."""

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, index: int) -> torch.Tensor:
        time.sleep(0.002)
        return torch.ones(1, 2)


def test_a_budget_ends_an_epoch_and_the_schedule(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    settings = TrainConfig(epochs=5, budget=0.6, device="cpu", prefetch=0, log_steps=1)
    seen: list[int] = []
    history = fit(
        model,
        lambda network, x: network(x).square().mean(),
        lambda epoch: Slow(),
        lambda network: seen.append(1) or {"score": 1.0},
        tmp_path,
        settings,
    )
    assert history.stopped == "the time budget of 0.6 s is used up"
    assert 0 < history.steps < 5 * 10**6
    # one validation, at the end, and a learning rate that has come down
    assert len(seen) == 1
    rates = [row["learning_rate"] for row in history.rows if "learning_rate" in row]
    assert rates[-1] < 0.5 * max(rates)
    assert history.rows[-1]["valid_score"] == 1.0


def test_without_a_budget_nothing_changes(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    batches = [torch.ones(1, 2)] * 3
    history = fit(
        model,
        lambda network, x: network(x).square().mean(),
        lambda epoch: batches,
        None,
        tmp_path,
        TrainConfig(epochs=2, device="cpu", prefetch=0),
    )
    assert (history.steps, history.stopped) == (6, "all epochs are done")


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(InputError, match=r"train\.budget is -1"):
        TrainConfig(budget=-1)
