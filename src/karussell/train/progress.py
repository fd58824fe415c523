"""What a person sees while a model trains: a live bar on a terminal, plain lines now and then elsewhere."""

import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TextIO

# the numbers that matter, in the order they are shown
SHOWN = ("epoch", "loss", "rate", "valid", "best")
# what of it a bar has room for
SHORT = ("epoch", "loss", "valid")


class Progress:
    """Shows step, epoch, loss, learning rate and validation score; `say` prints beside the bar."""

    def __init__(self, title: str = "", *, stream: TextIO | None = None, every: float = 10.0) -> None:
        self.title = title
        self.stream = stream if stream is not None else sys.stderr
        self.every = every
        self._bar: Any = None
        self._task: Any = None
        self._steps = 0
        self._last = 0.0
        self._started: float | None = None
        self._first_step = 0

    def plan(self, step: int, steps: int) -> None:
        """Say that `step` of about `steps` are done; the first call starts the clock."""
        self._steps = steps
        if self._started is None:
            self._started = self._last = time.monotonic()
            self._first_step = step
            if self.stream.isatty():
                self._start_bar(step)
        if self._bar is not None:
            self._bar.update(self._task, total=steps)

    def update(self, step: int, numbers: Mapping[str, float], *, important: bool = False) -> None:
        """Show the state after `step`; plain output shows it when important, or after `every` seconds."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, numbers=_listed(numbers, SHORT))
        elif important or time.monotonic() - self._last >= self.every:
            self._last = time.monotonic()
            self._print(f"step {step}/{self._steps}  {_listed(numbers, SHOWN)}{self._remaining(step)}")

    def say(self, text: str) -> None:
        """Print a sentence without disturbing the bar."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            self._print(text)

    def stop(self) -> None:
        """End the bar; plain lines need no end."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _start_bar(self, step: int) -> None:
        # imported here, as only terminals need it
        from rich import progress as rich
        from rich.console import Console

        self._bar = rich.Progress(
            rich.TextColumn("{task.description}"),
            rich.BarColumn(bar_width=12),
            rich.MofNCompleteColumn(),
            rich.TextColumn("{task.fields[numbers]}"),
            rich.TimeRemainingColumn(),
            console=Console(file=self.stream),
        )
        self._bar.start()
        self._task = self._bar.add_task(self.title or "training", completed=step, numbers="")

    def _print(self, text: str) -> None:
        prefix = f"[{self.title}] " if self.title else ""
        print(prefix + text, file=self.stream, flush=True)

    def _remaining(self, step: int) -> str:
        if self._started is None or step <= self._first_step:
            return ""
        rest = (time.monotonic() - self._started) / (step - self._first_step) * (self._steps - step)
        return f"  {int(rest) // 60}:{int(rest) % 60:02d} left"


def _listed(numbers: Mapping[str, float], names: Sequence[str]) -> str:
    return " · ".join(f"{name} {numbers[name]:.4g}" for name in names if name in numbers)
