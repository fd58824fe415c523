"""Whether the options of a layer fit its cell; every refusal names what came and what there is."""

from collections.abc import Collection, Mapping

import torch

from karussell.cells import Cell
from karussell.cells.cell import Vector


def biased_gates(cell: Cell, bias: bool | Collection[str]) -> tuple[str, ...]:
    """The gates that have a bias: all, none, or the named ones."""
    if isinstance(bias, bool):
        return cell.gates if bias else ()
    names = (bias,) if isinstance(bias, str) else tuple(bias)
    _known("bias", names, cell)
    return tuple(q for q in cell.gates if q in names)


def bias_values(
    cell: Cell, biased: Collection[str], forget_bias: float | None, gate_bias: Mapping[str, Vector] | None
) -> dict[str, Vector]:
    """What gates' biases start from, by gate; `forget_bias` is the one of gate f."""
    found = dict(gate_bias or {})
    if forget_bias is not None:
        if "f" not in cell.gates:
            raise ValueError(
                f"forget_bias: {cell.name} has no forget gate 'f'; its gates are {', '.join(cell.gates)}. "
                "Name the one you mean: gate_bias={gate: value}"
            )
        if "f" in found:
            raise ValueError("forget_bias and gate_bias['f'] both say what the forget gate's bias is; give one of them")
        found["f"] = forget_bias
    _known("gate_bias", found, cell)
    bare = [q for q in found if q not in biased]
    if bare:
        raise ValueError(f"gate_bias: gates {', '.join(bare)} have no bias here; name them in `bias` as well")
    return found


def zoneout_rates(cell: Cell, zoneout: float | Mapping[str, float]) -> dict[str, float]:
    """A rate a state. One number is for all states that a gate drives: one that only counts must go on counting."""
    if isinstance(zoneout, Mapping):
        return {name: float(rate) for name, rate in zoneout.items()}
    return {name: float(zoneout) for name in driven(cell)} if zoneout else {}


def check_functions(what: str, chosen: object, cell: Cell) -> None:
    """Functions by gate must name gates of the cell."""
    if isinstance(chosen, Mapping):
        _known(what, chosen, cell)
    elif chosen is not None and not callable(chosen):
        raise ValueError(f"{what}: give a function that fills a matrix in place, or a dictionary of them by gate")


def driven(cell: Cell) -> tuple[str, ...]:
    """The states whose new value depends on a gate; others only keep count, such as the clockwork's time."""
    with torch.inference_mode(False), torch.enable_grad():
        env = {n: torch.ones(1, 2) for n in (*cell.state, *cell.units, *cell.constants, *cell.inputs)}
        for stage in cell.stages:
            names = [q for q in stage.gates if q not in stage.split]
            names += [f"{q}_{part}" for q in stage.split for part in "xr"]
            gates = {q: torch.zeros(1, 2, requires_grad=True) for q in names}
            values = stage.step(*((env | gates)[n] for n in stage.takes))
            env |= zip(stage.writes, values if isinstance(values, tuple) else (values,), strict=True)
    return tuple(n for n in cell.state if env[n].requires_grad)


def _known(what: str, names: Collection[str], cell: Cell) -> None:
    for name in names:
        if name not in cell.gates:
            raise ValueError(f"{what} names {name!r}, but {cell.name} has the gates {', '.join(cell.gates)}")
