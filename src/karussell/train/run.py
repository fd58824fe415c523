"""The state of a run, all of it: what a checkpoint holds and a continued run gets back."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from karussell.errors import InputError
from karussell.train.checkpoint import Checkpoint, clear_partial, newest_checkpoint, save_checkpoint
from karussell.train.step import DivergedError, Measured, Stepper

# the counters of a run, by the names they have in state.json
COUNTERS = ("step", "epoch", "index", "rows", "seconds", "best", "best_step", "waited", "stopped", "shown", "setbacks")
# how often a run that diverged goes back and tries again with half the rate
SETBACKS = 3


class Run:
    """Counters, best weights, and the way to and from a checkpoint; `epoch` and `index` name the next batch.

    `identity` is what a continued run must share with its beginning.
    """

    def __init__(self, stepper: Stepper, folder: Path, identity: Mapping[str, Any]) -> None:
        self._stepper, self._folder, self._identity = stepper, folder, identity
        self.step = self.epoch = self.index = 0
        # rows written to the metrics so far
        self.rows = 0
        self.seconds = 0.0
        self.best: float | None = None
        self.best_step: int | None = None
        self.best_weights: dict[str, Tensor] = {}
        # validations since the best one
        self.waited = 0
        # how often it went back after it diverged
        self.setbacks = 0
        # why the run is over; empty while it is not
        self.stopped = ""
        # steps whose numbers are not in the metrics yet
        self.window: list[Measured] = []
        self.shown: dict[str, float] = {}

    def judge(self, score: float, weights: dict[str, Tensor]) -> bool:
        """Take note of a validation score, and keep its weights if it is the best so far."""
        better = self.best is None or score < self.best
        self.waited = 0 if better else self.waited + 1
        # of equals the later one, which has learned more
        if better or score == self.best:
            self.best, self.best_step, self.best_weights = score, self.step, weights
        return better

    def take_best(self) -> None:
        """Put the best validated weights into the model; without a validation the average, or the last."""
        if self.best_weights:
            self._stepper.model.load_state_dict(self.best_weights)
        elif self._stepper.average is not None:
            self._stepper.model.load_state_dict(self._stepper.average.tensors)

    def save(self) -> None:
        """Write a checkpoint of this moment between two steps; of several processes, the first one does."""
        stepper = self._stepper
        if not stepper.together.writes:
            return
        tensors = {f"model/{name}": tensor for name, tensor in stepper.model.state_dict().items()}
        for index, slots in stepper.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{slot}": value for slot, value in slots.items()}
        if stepper.average is not None:
            tensors |= {f"average/{name}": tensor for name, tensor in stepper.average.tensors.items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self.best_weights.items()}
        state = {
            "counters": {name: getattr(self, name) for name in COUNTERS},
            "window": self.window,
            "scaler": stepper.scaler.state_dict() if stepper.scaler is not None else None,
            "threads": torch.get_num_threads(),
            "identity": self._identity,
        }
        save_checkpoint(self._folder, self.step, tensors, state, keep=stepper.config.keep)

    def resume(self, say: Callable[[str], None]) -> None:
        """Continue from the newest whole checkpoint, if there is one and it belongs to the same run."""
        together = self._stepper.together
        if together.writes:
            clear_partial(self._folder)
            self._resume(say)
        together.wait()
        if not together.writes:
            self._resume(say)

    def _resume(self, say: Callable[[str], None]) -> None:
        found = newest_checkpoint(self._folder, say)
        if found is None:
            # where a run goes back to that diverges before anything else was saved
            self.save()
            return
        # through JSON, as the saved one went: tuples become lists
        _same(found.state["identity"], json.loads(json.dumps(self._identity)), self._folder.parent)
        self._restore(found)
        threads = found.state["threads"]
        if threads != torch.get_num_threads():
            say(
                f"the run began with {threads} threads and continues with {torch.get_num_threads()}: "
                "its last bits will differ from those of an unbroken run"
            )
        if not self.stopped:
            say(f"continuing after step {self.step}")

    def set_back(self, error: DivergedError, say: Callable[[str], None]) -> None:
        """After a loss that is no number: back to the newest checkpoint, with half the rate; the third is the last."""
        found = newest_checkpoint(self._folder, say) if self.setbacks < SETBACKS else None
        if found is None:
            raise error
        setbacks, step = self.setbacks + 1, self.step
        self._restore(found)
        self.setbacks, self._stepper.factor = setbacks, 0.5**setbacks
        self._stepper.together.wait()
        # a run that is killed from here on continues with this rate
        self.save()
        say(
            f"the loss or its gradient was no number at step {step}: back to step {self.step} with the learning rate "
            f"times {self._stepper.factor:g} ({setbacks} of {SETBACKS} times)"
        )

    def _restore(self, found: Checkpoint) -> None:
        stepper = self._stepper
        stepper.model.load_state_dict(_part(found.tensors, "model/"))
        slots: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _part(found.tensors, "optimizer/").items():
            index, slot = name.split("/", 1)
            slots.setdefault(int(index), {})[slot] = tensor
        groups = stepper.optimizer.state_dict()["param_groups"]
        stepper.optimizer.load_state_dict({"state": slots, "param_groups": groups})
        if stepper.average is not None:
            stepper.average.load(_part(found.tensors, "average/"))
        best = _part(found.tensors, "best/")
        self.best_weights = {name: tensor.to(stepper.device) for name, tensor in best.items()}
        if stepper.scaler is not None and found.state["scaler"]:
            stepper.scaler.load_state_dict(found.state["scaler"])
        self.window = [Measured(*numbers) for numbers in found.state["window"]]
        for name in COUNTERS:
            setattr(self, name, found.state["counters"].get(name, getattr(self, name)))
        stepper.factor = 0.5**self.setbacks


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _same(then: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    for name in sorted(then.keys() | now.keys()):
        before, after = then.get(name), now.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            _same(
                {f"{name}.{key}": value for key, value in before.items()},
                {f"{name}.{key}": value for key, value in after.items()},
                folder,
            )
        elif before != after:
            raise InputError(
                f"{folder} holds a run with {name} = {before}, and now it is {after}. "
                "Continue with the old value, or train into a new folder"
            )
