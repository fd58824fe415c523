"""Answers while data comes, for every task but transcription, which has `karussell.runtime.live`.

tags       in overlapping chunks: a tagger reads both ways, so it hears `right` steps more before it answers
labels     of all steps so far, or of a window that moves along
forecasts  after every new value: a forecaster looks at a bounded context, so nothing is lost
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from karussell.data.labelled import Example
from karussell.data.series import Series, SeriesSet
from karussell.errors import InputError
from karussell.tasks.forecast.config import ForecasterConfig
from karussell.tasks.sequences.inputs import Inputs

# steps that a window may have
MOST = 100_000


class Reads(Protocol):
    """What a classifier and a tagger have that is asked here."""

    inputs: Inputs

    def predict(self, data: Sequence[Example]) -> list[Any]:
        """An answer for each example."""
        ...


class Forecasts(Protocol):
    """What a forecaster has that is asked here."""

    config: ForecasterConfig

    def predict(self, data: SeriesSet, /) -> Any:
        """The horizon after each series, as a pandas table."""
        ...


class Tag(NamedTuple):
    """The label of one step."""

    step: int
    label: str
    confidence: float


class TagStream:
    """A tagger on a sequence that is going on: `push(steps)` gives the tags that are certain now, `finish()` the last.

    Every `chunk` steps the model reads them again with `left` steps before and `right` steps after, and answers for the
    chunk. `latency` is chunk + right, in steps; labels may differ from those of the whole.
    """

    def __init__(self, model: Reads, chunk: int, left: int, right: int) -> None:
        if not (0 < chunk <= MOST and 0 <= left <= MOST and 0 <= right <= MOST):
            raise InputError(
                f"stream: chunk {chunk}, left {left}, right {right}; needed 0 to {MOST} steps, chunk above 0"
            )
        self._model, self._chunk, self._left, self._right = model, chunk, left, right
        self._kept = _Steps(model.inputs.channels, len(model.inputs.columns))
        self._next, self._ended = 0, False
        self.latency = chunk + right
        """Steps that an answer may wait for."""

    def push(self, steps: Sequence[Any] | np.ndarray) -> list[Tag]:
        """Take steps: measurements [n, C], or tokens, each a text or one text a column."""
        if self._ended:
            raise RuntimeError("push after finish; make a new stream")
        self._kept.add(steps)
        found: list[Tag] = []
        while self._kept.end >= self._next + self._chunk + self._right:
            found += self._answer(self._next + self._chunk, self._next + self._chunk + self._right)
            self._kept.drop(self._next - self._left)
        return found

    def finish(self) -> list[Tag]:
        """Say that the sequence has ended, and take the last tags."""
        done, self._ended = self._ended, True
        return [] if done or self._kept.end == self._next else self._answer(self._kept.end, self._kept.end)

    def _answer(self, until: int, read: int) -> list[Tag]:
        first = self._kept.first
        [found] = self._model.predict([self._kept.example(first, read)])
        rows = range(self._next, until)
        self._next = until
        return [Tag(k, found.labels[k - first], found.confidences[k - first]) for k in rows]


class Label(NamedTuple):
    """What the steps up to one are held to be."""

    steps: int
    """Steps that were there when it was said."""
    answer: Any
    """What `Classifier.predict` says."""


class LabelStream:
    """A classifier on a sequence that is going on: `push(steps)` gives an answer every `every` steps.

    Each answer is exactly what `predict` says of the last `window` steps, or of all of them where window is 0; the last
    one, from `finish()`, is then that of the whole. Every answer reads its window anew.
    """

    def __init__(self, model: Reads, every: int, window: int) -> None:
        if not (0 < every <= MOST and 0 <= window <= MOST):
            raise InputError(f"stream: every {every}, window {window}; needed 1 to {MOST} steps, window 0 for all")
        self._model, self._every, self._window = model, every, window
        self._kept = _Steps(model.inputs.channels, len(model.inputs.columns))
        self._said, self._ended = 0, False
        self.latency = every
        """Steps that an answer may wait for."""

    def push(self, steps: Sequence[Any] | np.ndarray) -> list[Label]:
        """Take steps: measurements [n, C], or tokens, each a text or one text a column."""
        if self._ended:
            raise RuntimeError("push after finish; make a new stream")
        self._kept.add(steps)
        if not self._window and self._kept.end > MOST:
            raise InputError(f"stream: over {MOST} steps came; give a window, so that not all of them must be kept")
        found = []
        while self._kept.end >= self._said + self._every:
            found.append(self._answer(self._said + self._every))
        return found

    def finish(self) -> list[Label]:
        """Say that the sequence has ended; an answer if steps came since the last one."""
        done, self._ended = self._ended, True
        return [] if done or self._kept.end == self._said else [self._answer(self._kept.end)]

    def _answer(self, until: int) -> Label:
        self._said = until
        if self._window:
            self._kept.drop(until - self._window)
        [answer] = self._model.predict([self._kept.example(self._kept.first, until)])
        return Label(until, answer)


class ForecastStream:
    """A forecaster on series that go on: `push(rows)` gives the horizon after them, as `predict` does.

    Of every series the context alone is kept; what it says is what `predict` says of all rows, to rounding.
    """

    def __init__(self, model: Forecasts) -> None:
        self._model = model
        self._kept: dict[str, Series] = {}
        self._set: SeriesSet | None = None

    def push(self, rows: SeriesSet) -> Any:
        """Take rows that follow, of one series or several, and give their forecasts as a pandas table."""
        if self._set is not None and (before := [self._kept[s.id] for s in rows.series if s.id in self._kept]):
            rows, _ = replace(self._set, series=tuple(before)).followed_by(rows)
        found = self._model.predict(rows)
        self._set = rows
        for one in rows.series:
            self._kept[one.id] = last(one, self._model.config.context, rows.step.size)
        return found


def last(one: Series, steps: int, size: int) -> Series:
    """The last so many values of a series, and what is known of the time after them."""
    cut = max(0, len(one) - steps)
    return replace(
        one, start=one.start + cut * size, values=one.values[cut:], known=one.known[cut:], past=one.past[cut:]
    )


@dataclass
class _Steps:
    """The steps of a sequence that are still needed."""

    channels: int
    columns: int
    first: int = 0

    def __post_init__(self) -> None:
        self._values = np.zeros((0, self.channels), np.float32)
        self._tokens: list[tuple[str, ...]] = []

    @property
    def end(self) -> int:
        """Steps that came altogether."""
        return self.first + (len(self._tokens) if self.columns else len(self._values))

    def add(self, steps: Sequence[Any] | np.ndarray) -> None:
        if self.columns:
            rows = [(step,) if isinstance(step, str) else tuple(step) for step in steps]
            bad = next((row for row in rows if len(row) != self.columns or not all(map(_is_token, row))), None)
            if bad is not None:
                raise InputError(f"stream: a step is {bad!r}; the model needs {self.columns} tokens a step, none empty")
            self._tokens += rows
            return
        values = np.asarray(steps, np.float32)
        values = values[:, None] if values.ndim == 1 and self.channels == 1 else values
        if values.ndim != 2 or values.shape[1] != self.channels or np.isinf(values).any():
            raise InputError(
                f"stream: steps are {list(values.shape)}; the model needs finite numbers [n, {self.channels}], NaN "
                "where one is missing"
            )
        self._values = np.concatenate([self._values, values])

    def drop(self, until: int) -> None:
        cut = max(0, until - self.first)
        self._values, self._tokens, self.first = self._values[cut:], self._tokens[cut:], self.first + cut

    def example(self, begin: int, end: int) -> Example:
        part = slice(begin - self.first, end - self.first)
        if self.columns:
            return Example("stream", columns=tuple(zip(*self._tokens[part], strict=True)))
        return Example("stream", self._values[part])


def _is_token(token: object) -> bool:
    return isinstance(token, str) and bool(token)
