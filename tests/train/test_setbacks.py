"""A loss that is no number: back to the last good state with half the rate, three times, and said."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from test_resume import PAUSE, SETTINGS, finish, left, newest, start
from torch import Tensor, nn

from karussell.train import DivergedError, Progress, TrainConfig, fit, read_metrics


class Said(Progress):
    """Remarks, kept."""

    def __init__(self) -> None:
        super().__init__("test")
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


class Moody:
    """A loss that is no number at some calls, counted over the whole run."""

    def __init__(self, bad: set[int]) -> None:
        self.bad, self.calls = bad, 0

    def __call__(self, model: nn.Module, x: Tensor) -> Tensor:
        self.calls += 1
        loss = model(x).square().mean()
        return loss * float("nan") if self.calls in self.bad else loss


def run(out: Path, bad: set[int], **settings: object):
    torch.manual_seed(1)
    model, said = nn.Linear(3, 1), Said()
    batches = [torch.randn(4, 3) for _ in range(5)]
    config = TrainConfig(
        **{"epochs": 4, "device": "cpu", "log_steps": 1, "checkpoint_seconds": 0, "prefetch": 0, "ema": 0, **settings}
    )
    history = fit(model, Moody(bad), lambda _: batches, None, out, config, progress=said)
    return model, said.lines, history


def test_two_bad_losses_cost_two_halvings(tmp_path: Path) -> None:
    model, said, history = run(tmp_path, {7, 11})
    assert history.steps == 20
    assert all(torch.isfinite(w).all() for w in model.parameters())
    backs = [line for line in said if "back to step" in line]
    assert len(backs) == 2
    assert "at step 6: back to step 6 with the learning rate times 0.5 (1 of 3 times)" in backs[0]
    assert "times 0.25 (2 of 3 times)" in backs[1]
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 21))
    _, _, plain = run(tmp_path / "plain", set())
    rates = [a["learning_rate"] / b["learning_rate"] for a, b in zip(history.rows, plain.rows, strict=True)]
    assert rates == pytest.approx([1.0] * 6 + [0.5] * 3 + [0.25] * 11)


def test_before_the_first_checkpoint_it_goes_back_to_the_beginning(tmp_path: Path) -> None:
    _, said, history = run(tmp_path, {4}, checkpoint_seconds=1000)
    assert any("back to step 0" in line for line in said)
    assert [row["step"] for row in history.rows] == list(range(1, 21))


def test_the_fourth_is_the_end(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="the loss became nan at step 2"):
        run(tmp_path, set(range(3, 99)))
    state = json.loads((tmp_path / "checkpoints" / newest(tmp_path) / "state.json").read_text())
    assert state["state"]["counters"]["setbacks"] == 3


def test_a_run_that_continues_keeps_its_rate(tmp_path: Path) -> None:
    class Stop(Moody):
        def __call__(self, model: nn.Module, x: Tensor) -> Tensor:
            if self.calls == 9:
                raise InterruptedError
            return super().__call__(model, x)

    torch.manual_seed(1)
    model = nn.Linear(3, 1)
    batches = [torch.randn(4, 3) for _ in range(5)]
    config = TrainConfig(epochs=4, device="cpu", log_steps=1, checkpoint_seconds=0, prefetch=0, ema=0)
    with pytest.raises(InterruptedError):
        fit(model, Stop({7}), lambda _: batches, None, tmp_path, config, progress=Said())
    history = fit(model, Moody(set()), lambda _: batches, None, tmp_path, config, progress=Said())
    _, _, plain = run(tmp_path / "plain", set())
    rates = [a["learning_rate"] / b["learning_rate"] for a, b in zip(history.rows, plain.rows, strict=True)]
    assert rates == pytest.approx([1.0] * 6 + [0.5] * 14)


@pytest.mark.parametrize("keep", [1, 4])
def test_so_many_checkpoints_are_kept(tmp_path: Path, keep: int) -> None:
    run(tmp_path, set(), keep=keep)
    steps = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert steps == [f"step-{step:08d}" for step in range(21 - keep, 21)]


def test_sigterm_leaves_a_checkpoint_of_that_step(tmp_path: Path) -> None:
    finish(tmp_path / "unbroken", *SETTINGS)
    out = tmp_path / "run"
    process = start(out, *SETTINGS, PAUSE, "checkpoint_seconds=1000", "log_steps=1")
    while not (out / "metrics.jsonl").exists() or not (out / "metrics.jsonl").stat().st_size:
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert newest(out) > "step-00000000"
    finish(out, *SETTINGS, PAUSE, "log_steps=1")
    assert left(out)[0] == left(tmp_path / "unbroken")[0]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError) as caught:
        run(tmp_path / "out", set())
    assert str(tmp_path) in str(caught.value)
