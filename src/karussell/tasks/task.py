"""The shape of every task: fit, predict, evaluate, save, load; and what all of them do alike.

A task is its reader, its network, its loss, its score and its report page. The loop is `karussell.train.fit`, the
folder is `karussell.tasks.folder`, and what stands here are the words between them: a score beside its trivial floor,
a time budget, and the end of a run.

    class Chef:                                   a finished class, no subclass: it has the methods of Task
        task = "chef"
        fit(train, valid, out, config, *, overwrite, progress) -> Chef
        predict(data) -> ...                      answers in the order of the data
        evaluate(data) -> {"scores": [...], ...}  JSON values, every score with the floor on the same data
        save(folder), load(folder, *, device)     a folder of safetensors and JSON
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from torch import nn

from karussell.data.files import write_atomic
from karussell.errors import InputError
from karussell.tasks.folder import REPORT, RESULT, finish, write_json
from karussell.train import History, Progress

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Task(Protocol):
    """What `karussell train`, `predict` and `evaluate` ask of a task; the types of the data are the task's own."""

    task: ClassVar[str]
    """The word after `--task`, and the one in config.json."""

    @property
    def network(self) -> nn.Module:
        """What is trained."""
        ...

    @property
    def history(self) -> History | None:
        """How the network was trained; None in a model that was loaded."""
        ...

    @classmethod
    def fit(
        cls,
        train: Any,
        valid: Any,
        out: Path | str,
        config: Any = None,
        *,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Self:
        """Train on `train`, keep the weights that are best on `valid`, save in `out`; a run found there goes on.

        Every check of the data comes before the first file is written. Nothing that is learned, scaled or counted
        may look at `valid`, but for the choice of the weights.
        """
        ...

    def predict(self, data: Any, /) -> Any:
        """The answers, in the order of the data."""
        ...

    def evaluate(self, data: Any, /) -> dict[str, Any]:
        """Scores on data with answers: JSON values, with a list `scores` of `Score.to_json()`, the first decides."""
        ...

    def save(self, folder: Path | str) -> None:
        """Write weights and configuration."""
        ...

    @classmethod
    def load(cls, folder: Path | str, *, device: str = "cpu") -> Self:
        """Read what `save` wrote; InputError names what is missing, cut short or of another task."""
        ...


@dataclass(frozen=True)
class Score:
    """A figure beside the trivial floor on the same data."""

    name: str
    """What is measured, such as accuracy or MSE."""
    value: float
    floor: float
    floor_name: str
    """The method without learning, such as "1-nearest neighbour" or "seasonal naive, 24 steps"."""
    higher: bool = False
    """Whether more is better: accuracy and F1, not an error."""
    percent: bool = False
    """Whether the figure is a share of one that is read as per cent."""
    low: float | None = None
    """Bounds of its 95 % interval, if it has one."""
    high: float | None = None

    @property
    def beats_floor(self) -> bool:
        """Whether the figure is better than what needs no learning."""
        return self.value > self.floor if self.higher else self.value < self.floor

    def words(self, value: float | None = None) -> str:
        """The figure, or another one of its kind, as people read it."""
        number = self.value if value is None else value
        return f"{100 * number:.2f} %" if self.percent else f"{number:.4g}"

    def line(self) -> str:
        """One line for people: the figure, its interval, the floor, and a warning where the floor is not beaten."""
        bounds = f" (95 % interval {self.words(self.low)} to {self.words(self.high)})" if self.low is not None else ""
        verdict = "" if self.beats_floor else "   NOT BETTER THAN THE FLOOR"
        return f"{self.name} {self.words()}{bounds}   floor {self.words(self.floor)} ({self.floor_name}){verdict}"

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Score":
        """The score that `to_json` wrote."""
        return cls(**values)


def lines(evaluation: Mapping[str, Any]) -> list[str]:
    """What is printed of an evaluation: every score beside its floor, and of forecasts what their intervals hold."""
    found = [Score.from_json(values).line() for values in evaluation["scores"]]
    for name, share in evaluation.get("coverage", {}).items():
        kind, _, width = name.partition("_")
        if kind == "inside":
            found.append(f"the {100 * float(width):g} % interval holds {100 * share:.1f} % of the values")
    return found


def seconds(budget: str) -> float:
    """A time budget in words: "90", "90s", "5m" or "1.5h" are seconds, seconds, minutes and hours."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", budget)
    value = float(found[1]) * _UNITS[found[2] or "s"] if found else 0.0
    if value <= 0:
        raise InputError(f"the time budget is {budget!r}; write it as 90s, 5m or 1.5h")
    return value


def complete(
    model: Task, out: Path, evaluation: Mapping[str, Any], page: str, *, total: float, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """End a run: result.json and report.html beside the model, no checkpoints left; the result is returned.

    `evaluation` is that of the validation data, `total` the seconds from the first read to the last score, `notes`
    the repairs of the data that were announced.
    """
    history = model.history
    assert history is not None, "complete is for a model that was just trained"
    result: dict[str, Any] = {
        "task": model.task,
        "seconds": round(history.seconds, 2),
        "total_seconds": round(total, 2),
        "steps": history.steps,
        "best_step": history.best_step,
        "stopped": history.stopped,
        "weights": sum(weight.numel() for weight in model.network.parameters()),
        "valid": dict(evaluation),
        "notes": list(notes),
    }
    write_atomic(out / REPORT, page)
    write_json(out / RESULT, result)
    finish(out)
    return result
