"""What every engine can do for every cell beyond its equations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from karussell.cells import Cell

# purposes keep the masks of one layer apart: what the k-th R sees, the candidate, the k-th state's zoneout
SEEN, CANDIDATE, ZONEOUT = 0, 100, 200
# of layer norm, beside the variance
EPSILON = 1e-5


@dataclass(frozen=True)
class Options:
    """Regularisers inside the recurrence; each is defined once, here.

    training   draw masks; otherwise use expectations
    zoneout    a rate a state: the new state's unit keeps its old value with this probability, before it is used;
               in evaluation the expectation of the two (Krueger et al. 2016). h is made from the new, not the kept, c
    clip       a limit a state: the new state is kept within -limit and limit, before zoneout (Sak et al. 2014 clip c)
    dropout    the probability of recurrent dropout, scaled by 1 / (1 - p) in training
    dropout_on "seen": one mask a sequence on what R multiplies (Gal & Ghahramani 2016)
               "candidate": a mask a step on the cell's candidate g (Semeniuta et al. 2016), for cells whose step
               takes `drop`
    """

    training: bool = False
    zoneout: Mapping[str, float] = field(default_factory=dict)
    dropout: float = 0.0
    dropout_on: Literal["seen", "candidate"] = "seen"
    clip: Mapping[str, float] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Whether nothing here changes the arithmetic."""
        beside = any(self.zoneout.values()) or any(self.clip.values())
        return not beside and not (self.training and self.dropout)

    @property
    def random(self) -> bool:
        """Whether masks are drawn."""
        return self.training and (self.dropout > 0 or any(self.zoneout.values()))


def check(options: Options, cell: Cell) -> None:
    """Refuse what does not fit the cell, with a sentence that says so."""
    for name, rate in options.zoneout.items():
        if name not in cell.state:
            raise ValueError(f"zoneout names {name!r}, but {cell.name} has the states {', '.join(cell.state)}")
        if not 0 <= rate <= 1:
            raise ValueError(f"zoneout[{name!r}] is {rate}; it is a probability, from 0 to 1")
    for name, limit in options.clip.items():
        if name not in cell.state:
            raise ValueError(f"clip names {name!r}, but {cell.name} has the states {', '.join(cell.state)}")
        if not limit >= 0:
            raise ValueError(f"clip[{name!r}] is {limit}; it is a positive limit, or 0 for none")
    if not 0 <= options.dropout < 1:
        raise ValueError(f"dropout is {options.dropout}; it is a probability, from 0 to below 1")
    if options.dropout and options.dropout_on == "candidate" and "drop" not in cell.optional:
        raise ValueError(
            f"dropout on the candidate does not fit {cell.name}: its step takes no `drop`. "
            "Use dropout_on='seen', or write the cell's step with a parameter drop=1.0 that multiplies the candidate"
        )
    if options.dropout and options.dropout_on == "seen" and not any(s.sees for s in cell.stages):
        raise ValueError(f"dropout on what R sees does not fit {cell.name}: it has no recurrent matrix")
