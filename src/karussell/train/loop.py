"""The training loop: epochs, validation, early stopping, checkpoints, and an exact resume.

A run that is killed at any step and started again with the same number of threads ends with the same bits:
a batch depends on (seed, epoch, index) alone, chance inside the model on (seed, step), the learning rate on the
step, and the rest is in the checkpoint.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from karussell.errors import InputError
from karussell.train.config import TrainConfig
from karussell.train.device import threads
from karussell.train.interrupt import Interrupt
from karussell.train.metrics import MetricsFile, Row
from karussell.train.prefetch import ahead
from karussell.train.progress import Progress
from karussell.train.run import Run
from karussell.train.step import DivergedError, Measured, Stepper
from karussell.train.together import Share, rank

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class History:
    """What a finished run leaves: its rows, and where it stood when it ended."""

    rows: list[Row]
    steps: int
    seconds: float
    """Spent on training, earlier sessions included."""
    earlier: float
    """What of it was spent in earlier sessions."""
    best: float | None
    best_step: int | None
    stopped: str


def fit(
    model: nn.Module,
    loss_fn: Callable[[nn.Module, Batch], Tensor],
    batches: Callable[[int], Sequence[Batch]],
    validate: Callable[[nn.Module], Mapping[str, float]] | None,
    out: Path,
    config: TrainConfig,
    *,
    meta: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    share: Share | None = None,
) -> History:
    """Train `model` in place and leave it with the best validated weights, on the device it came from.

    `batches(epoch)` is a sequence made lazily by index, a pure function of the epoch; `loss_fn` gives a scalar.
    `validate` gives numbers by name, of which `score` decides (lower is better). `out` receives metrics.jsonl
    and checkpoints/, and a run that is found there goes on. `meta` is what must be equal for that besides
    `config`: JSON values that identify data and model.

    With `config.budget` the learning rate falls with the time that is spent, if that runs out before the epochs do;
    such a run depends on the machine's speed, and repeats to the same bits only by its steps.

    Where a launcher (torchrun) has started several processes, each calls this with the same arguments, and `share` says
    what part of a batch is whose; the first one writes. See `train.together`.

    At a loss or gradient that is not finite the run goes back to its newest checkpoint with half the learning rate, and
    says so; at the fourth it raises DivergedError. InputError when `out` holds a different run; KeyboardInterrupt at
    Ctrl-C, or its kind Terminated at SIGTERM, after a checkpoint.
    """
    show = progress if progress is not None else Progress()
    if rank() > 0:
        show = Progress(stream=open(os.devnull, "w"))  # noqa: SIM115 - it lasts as long as the run
    # where every core already computes, a thread that prepares batches makes all of them wait for one
    spare = 1 if config.prefetch else 0
    with threads(config.threads or max(1, torch.get_num_threads() - spare)):
        return _fit(model, loss_fn, batches, validate, out, config, meta or {}, show, share)


def _fit(
    model: nn.Module,
    loss_fn: Callable[[nn.Module, Batch], Tensor],
    batches: Callable[[int], Sequence[Batch]],
    validate: Callable[[nn.Module], Mapping[str, float]] | None,
    out: Path,
    config: TrainConfig,
    meta: Mapping[str, Any],
    show: Progress,
    share: Share | None,
) -> History:
    stepper = Stepper(model, loss_fn, config, share)
    together = stepper.together
    run = Run(stepper, out / "checkpoints", {"train": config.identity(), **meta})
    run.resume(show.say)
    earlier = run.seconds

    with (
        MetricsFile(out / "metrics.jsonl", keep=run.rows, write=together.writes) as metrics,
        Interrupt() as interrupt,
        show,
    ):
        clock = _Clock(run.seconds)

        def write(row: Row) -> None:
            metrics.add({"step": run.step, **row, "seconds": round(clock.seconds(), 3)})
            run.rows = len(metrics.rows)

        def save() -> None:
            run.seconds = clock.seconds()
            run.save()
            clock.saved()

        def spent_share(validations: int) -> float:
            # the first process's clock is everybody's
            share = clock.share(config.budget, validations=validations)
            return together.first(share) if config.budget else share

        while not run.stopped:
            epoch = batches(run.epoch)
            if not len(epoch):
                raise InputError("there is not one batch of training data; give more recordings, or smaller batches")
            # epochs differ in length, so the end is an estimate
            show.plan(run.step, run.step - run.index + len(epoch) * (config.epochs - run.epoch))
            fell = False
            for batch in ahead(epoch, run.index, config.prefetch):
                done = max((run.epoch + run.index / len(epoch)) / config.epochs, spent_share(0))
                try:
                    measured = stepper.take(run.step, done, batch)
                except DivergedError as error:
                    run.set_back(error, show.say)
                    metrics.cut(run.rows)
                    fell = True
                    break
                run.step, run.index = run.step + 1, run.index + 1
                run.window.append(measured)
                if len(run.window) >= config.log_steps:
                    row = _means(run.window)
                    write({"epoch": round(run.epoch + run.index / len(epoch), 4), **row})
                    run.shown.update(loss=row["loss"], rate=measured.rate)
                    run.window.clear()
                show.update(run.step, {"epoch": run.epoch + 1, **run.shown})
                if together.any(interrupt.asked):
                    save()
                    raise interrupt.stop()
                if clock.since_saved() >= config.checkpoint_seconds:
                    save()
                if spent_share(1) >= 1:
                    break
            if fell:
                continue
            at = round(run.epoch + run.index / len(epoch), 4)
            run.epoch, run.index = run.epoch + 1, 0
            spent = spent_share(1) >= 1
            last = spent or run.epoch == config.epochs
            if validate is not None and (last or run.epoch % config.validate_epochs == 0):
                with clock.validation():
                    numbers, weights = stepper.validate(run.step, validate)
                better = run.judge(numbers["score"], weights)
                valid = {f"valid_{name}": number for name, number in numbers.items()}
                write({"epoch": at, **valid, "better": better})
                run.shown.update(valid=numbers["score"], best=run.best or 0.0)
                show.update(run.step, {"epoch": run.epoch, **run.shown}, important=True)
            if spent:
                run.stopped = f"the time budget of {config.budget:g} s is used up"
            elif last:
                run.stopped = "all epochs are done"
            elif config.patience and run.waited >= config.patience:
                run.stopped = f"no better score in {config.patience} validations"
            if run.stopped:
                save()
        rows = metrics.rows
    run.take_best()
    stepper.release()
    return History(rows, run.step, run.seconds, earlier, run.best, run.best_step, run.stopped)


class _Clock:
    def __init__(self, seconds: float) -> None:
        self._started = time.monotonic() - seconds
        self._saved = time.monotonic()
        # seconds of the longest validation so far
        self._validation = 0.0

    def seconds(self) -> float:
        return time.monotonic() - self._started

    def share(self, budget: float, *, validations: int = 0) -> float:
        """The share of a time budget that is behind, with so many validations still to come; 0 without a budget."""
        return min(1.0, (self.seconds() + validations * self._validation) / budget) if budget else 0.0

    @contextmanager
    def validation(self) -> Iterator[None]:
        started = time.monotonic()
        yield
        self._validation = max(self._validation, time.monotonic() - started)

    def saved(self) -> None:
        self._saved = time.monotonic()

    def since_saved(self) -> float:
        return time.monotonic() - self._saved


def _means(window: Sequence[Measured]) -> dict[str, float]:
    losses, norms, rates = zip(*window, strict=True)
    return {
        "loss": sum(losses) / len(losses),
        "gradient_norm": sum(norms) / len(norms),
        "learning_rate": rates[-1],
    }
