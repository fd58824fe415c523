"""A case of `bench ctc`: ours and its peers, and what must hold before any of them is timed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

Call = Callable[[], object]


class Peer(NamedTuple):
    """What ours is compared with; `call` is None where it is not installed, and the row says "not measured".

    group: the row stands in another group than the case's.
    """

    name: str
    call: Call | None
    group: str | None = None


class Sides(NamedTuple):
    """One call of ours, and the peers'."""

    ours: Call
    peers: tuple[Peer, ...]


@dataclass(frozen=True)
class Case:
    """A problem of a group.

    sides    makes the data and both sides; it gets the number of threads, which torch has been told already
    verify   raises ParityError where ours does not compute what it should
    engine   what of ours runs, forced
    threads  whether it is also timed with all cores
    """

    group: str
    name: str
    sides: Callable[[int], Sides]
    verify: Callable[[], None]
    engine: str = "cpp"
    threads: bool = True
