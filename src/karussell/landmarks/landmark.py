"""What a landmark is: arms that run once a seed, and claims that are checked over what they gave."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Role = Literal["ours", "control", "rival"]


@dataclass(frozen=True)
class Trial:
    """One run of one arm: its seed, and whether it is only to show that it runs."""

    seed: int
    smoke: bool = False

    def rng(self, *parts: int) -> np.random.Generator:
        """A generator that belongs to this seed and to these numbers alone."""
        return np.random.default_rng([self.seed, *parts])

    def cap(self, full: int, smoke: int) -> int:
        """How much to do: `full`, or `smoke` in smoke mode."""
        return smoke if self.smoke else full


@dataclass(frozen=True)
class Outcome:
    """What one run gave.

    strict    whether the criterion was met as it was published
    reached   whether the looser one was, which the landmark names; the strict one where there is none
    value     the figure to compare with the published one; None where there is none, such as after a failure
    measures  further numbers by name
    curve     points of a learning curve (x, y) worth drawing
    """

    strict: bool
    reached: bool
    value: float | None
    measures: Mapping[str, float | None] = field(default_factory=dict)
    curve: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Arm:
    """One line of a landmark's table: a net on a task, run over seeds.

    role       ours: what the claim is about; control: must fail; rival: another method, reported as it comes
    published  the published figure in words, empty where there is none
    seeds      how many are run if nobody says otherwise: ten, or five where a run takes more than a minute
    apart      run only where it is named: it needs data that cannot be had for free
    figure     what its `value` is, where that is not what it is in the other arms
    """

    name: str
    run: Callable[[Trial], Outcome]
    role: Role = "ours"
    published: str = ""
    seeds: int = 10
    apart: bool = False
    figure: str = ""


@dataclass(frozen=True)
class Row:
    """An outcome with its seed and the seconds of processor time it took."""

    arm: str
    seed: int
    strict: bool
    reached: bool
    value: float | None
    measures: Mapping[str, float | None]
    seconds: float
    curve: Sequence[tuple[float, float]] = ()


Rows = Mapping[str, Sequence[Row]]
"""All rows by the name of their arm."""


ENOUGH = 5
"""Seeds of an arm below which nothing is claimed of it."""


@dataclass(frozen=True)
class Claim:
    """A sentence and the check that it holds; None where an arm of it has been run with too few seeds."""

    text: str
    check: Callable[[Rows], bool | None]

    @property
    def control(self) -> bool:
        """Whether it says only that something must fail, which by itself replicates nothing."""
        return isinstance(self.check, MustFail)


@dataclass(frozen=True)
class Picture:
    """Curves for the page, stored with the result: (name, x, y) each, over one axis."""

    title: str
    x_label: str
    curves: Sequence[tuple[str, Sequence[float], Sequence[float]]]
    caption: str = ""
    log: bool = False
    percent: bool = False
    levels: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True)
class Table:
    """Figures that follow from the rows: a head and lines of words, with a sentence on them."""

    title: str
    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Landmark:
    """A published result that is run again.

    claim      what was published, one sentence
    published  the figures, in words; marked where they are uncertain
    figure     what an arm's `value` is, such as "sequences to the criterion"
    strict     the criterion as published
    reached    the looser one, empty where there is none
    pictures   draws further pictures from the rows; runs what it must in seconds
    tables     further figures that follow from the rows alone
    """

    name: str
    title: str
    year: str
    paper: str
    claim: str
    published: str
    figure: str
    strict: str
    arms: tuple[Arm, ...]
    claims: tuple[Claim, ...]
    reached: str = ""
    less_is_better: bool = True
    pictures: Callable[[Rows, bool], Sequence[Picture]] | None = None
    tables: Callable[[Rows], Sequence[Table]] | None = None


def succeeds(arm: str, share: float = 0.5, *, loosely: bool = False) -> Callable[[Rows], bool | None]:
    """At least this share of an arm's seeds meets the criterion; `loosely` takes the looser one."""

    def check(rows: Rows) -> bool | None:
        found = _share(rows, arm, loosely)
        return None if found is None else found >= share

    return check


@dataclass(frozen=True)
class MustFail:
    """At most a share of an arm's seeds meets the criterion."""

    arm: str
    share: float
    loosely: bool

    def __call__(self, rows: Rows) -> bool | None:
        """Check it."""
        found = _share(rows, self.arm, self.loosely)
        return None if found is None else found <= self.share


def fails(arm: str, share: float = 0.0, *, loosely: bool = False) -> MustFail:
    """At most this share of an arm's seeds meets the criterion."""
    return MustFail(arm, share, loosely)


def near(arm: str, published: float, factor: float = 10.0) -> Callable[[Rows], bool | None]:
    """The mean over the seeds that have a value lies within a factor of the published figure."""

    def check(rows: Rows) -> bool | None:
        if not _enough(rows, arm):
            return None
        values = _values(rows, arm)
        return bool(values) and published / factor <= float(np.mean(values)) <= published * factor

    return check


def below(arm: str, other: str, factor: float = 1.0) -> Callable[[Rows], bool | None]:
    """The mean value of an arm is below `factor` times that of another."""

    def check(rows: Rows) -> bool | None:
        if not _enough(rows, arm) or not _enough(rows, other):
            return None
        mine, theirs = _values(rows, arm), _values(rows, other)
        return bool(mine) and bool(theirs) and float(np.mean(mine)) < factor * float(np.mean(theirs))

    return check


def _enough(rows: Rows, arm: str) -> bool:
    return len(rows.get(arm, ())) >= ENOUGH


def _values(rows: Rows, arm: str) -> list[float]:
    return [row.value for row in rows.get(arm, ()) if row.value is not None]


def _share(rows: Rows, arm: str, loosely: bool) -> float | None:
    found = rows.get(arm, ())
    if len(found) < ENOUGH:
        return None
    return sum(row.reached if loosely else row.strict for row in found) / len(found)
