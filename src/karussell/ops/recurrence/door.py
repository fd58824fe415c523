"""The checks at the door of a recurrence. Nothing below checks again."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from karussell.cells import Cell
from karussell.ops.context import known, remembered
from karussell.ops.recurrence.weights import Shapes, Weights, shapes


def check_weights(cell: Cell, x: Tensor, weights: Weights) -> tuple[int, Mapping[str, int]]:
    """Compare every weight with what the cell needs; return H and the widths of the states."""
    if x.dim() != 3:
        raise ValueError(f"recurrence: x is {list(x.shape)}; it must be [T, B, I]")
    if not x.is_floating_point():
        raise ValueError(f"recurrence: x is {x.dtype}; it must be floating point")
    if x.shape[0] == 0:
        raise ValueError("recurrence: x has no steps (T = 0); give at least one")
    projection = None if weights.p is None else weights.p.shape[0]
    hidden, need, widths = _needed(cell, weights.w.shape[0], x.shape[2], projection)

    def compare(name: str, value: Tensor | None, shape: tuple[int, ...]) -> None:
        if value is None:
            return
        if value.shape != shape:
            gates = f"{cell.name} has {len(cell.gates)} gates ({', '.join(cell.gates)})"
            raise ValueError(
                f"recurrence: {name} is {list(value.shape)}, but {gates}, so with H = {hidden} and I = {x.shape[2]} "
                f"it must be {list(shape)}"
            )
        if value.dtype != x.dtype:
            raise ValueError(f"recurrence: {name} is {value.dtype} and x is {x.dtype}; convert one of them")

    compare("w", weights.w, need.w)
    if len(weights.r) != len(need.r):
        raise ValueError(f"recurrence: r has {len(weights.r)} matrices, but {cell.name} multiplies {len(need.r)}")
    for k, shape in enumerate(need.r):
        compare(f"r[{k}]", weights.r[k], shape)
        if weights.norm_r is not None:
            compare(f"norm_r[{k}]", weights.norm_r[k], (need.norm_r[k],))
    compare("b", weights.b, (need.b,))
    compare("b_r", weights.b_r, (need.b_r,))
    compare("norm_x", weights.norm_x, (need.norm_x,))
    if weights.p is not None:
        compare("p", weights.p, (weights.p.shape[0], hidden))
    if weights.units.keys() != cell.units.keys() | cell.constants.keys():
        names = {*cell.units, *cell.constants}
        raise ValueError(f"recurrence: units are {sorted(weights.units)}, but {cell.name} needs {sorted(names)}")
    for name, value in weights.units.items():
        compare(f"units[{name!r}]", value, (hidden,))
    return hidden, widths


@remembered
def _needed(cell: Cell, rows: int, inputs: int, projection: int | None) -> tuple[int, Shapes, Mapping[str, int]]:
    """H, all shapes and the widths of the states, from the rows of W."""
    hidden = round(rows / sum(1 / cell.block if q in cell.shared else 1 for q in cell.fed))
    widths = {name: cell.width(name, hidden) for name in cell.state}
    widths |= {} if projection is None else {cell.state[0]: projection}
    return hidden, shapes(cell, inputs, hidden, projection), widths


def given_state(
    cell: Cell, what: str, state: Sequence[Tensor] | None, x: Tensor, sizes: Mapping[str, int], hidden: int
) -> dict[str, Tensor] | None:
    """The states by name, dense; None where none are given."""
    if state is None:
        return None
    batch = x.shape[1]
    if len(state) != len(cell.state):
        raise ValueError(
            f"recurrence: {what} has {len(state)} tensors, but {cell.name} has the states {', '.join(cell.state)}"
        )
    found = {}
    for name, value in zip(cell.state, state, strict=True):
        if tuple(value.shape) != (batch, sizes[name]):
            raise ValueError(
                f"recurrence: {what}.{name} is {list(value.shape)}; it must be [B, width] = {[batch, sizes[name]]}"
            )
        if value.dtype != x.dtype:
            raise ValueError(f"recurrence: {what}.{name} is {value.dtype} and x is {x.dtype}; convert one of them")
        found[name] = value if sizes[name] == hidden or name not in cell.shared else _widen(value, cell.block)
    return found


def _widen(value: Tensor, block: int) -> Tensor:
    return value.repeat_interleave(block, -1)


def check_lengths(lengths: Tensor | None, x: Tensor) -> Tensor | None:
    """Lengths as int64 on x's device; one that equals T everywhere still counts as given."""
    if lengths is None:
        return None
    steps, batch = x.shape[:2]
    if tuple(lengths.shape) != (batch,) or lengths.is_floating_point():
        raise ValueError(
            f"recurrence: lengths is {list(lengths.shape)} {lengths.dtype}; it must be [B] = [{batch}] integers"
        )
    # what is not known here, to a compiler say, the engine looks at when it runs
    if lengths.is_cuda:
        # the device looks at its own numbers: nobody waits for them here
        torch._assert_async(((lengths >= 0) & (lengths <= steps)).all())
    elif batch and known(lengths) and (int(lengths.min()) < 0 or int(lengths.max()) > steps):
        raise ValueError(
            f"recurrence: lengths run from {int(lengths.min())} to {int(lengths.max())}, but x has {steps} steps"
        )
    return lengths.to(x.device, torch.int64)


def check_resets(resets: Tensor | None, x: Tensor, lengths: Tensor | None) -> Tensor | None:
    """Resets as booleans [T, B]; none beyond a row's length, where backwards they would cut before the first step."""
    if resets is None:
        return None
    if tuple(resets.shape) != tuple(x.shape[:2]) or resets.dtype != torch.bool:
        raise ValueError(
            f"recurrence: resets is {list(resets.shape)} {resets.dtype}; it must be [T, B] = "
            f"{list(x.shape[:2])} booleans"
        )
    resets = resets.to(x.device)
    return resets if lengths is None else resets & (torch.arange(len(x), device=x.device)[:, None] < lengths)


def given_inputs(
    cell: Cell, inputs: Mapping[str, Tensor] | None, x: Tensor, hidden: int, lengths: Tensor | None
) -> dict[str, Tensor]:
    """The per-step inputs by name, [T, B, 1] or [T, B, H]; 1 beyond a row's length, where anything may stand."""
    if not inputs and not cell.inputs:
        return {}
    inputs = inputs or {}
    if set(inputs) != set(cell.inputs):
        raise ValueError(f"recurrence: inputs are {sorted(inputs)}, but {cell.name} takes {sorted(cell.inputs)}")
    found = {}
    for name, value in inputs.items():
        wide = value[..., None] if value.dim() == 2 else value
        if tuple(wide.shape) not in {(*x.shape[:2], 1), (*x.shape[:2], hidden)}:
            raise ValueError(
                f"recurrence: inputs[{name!r}] is {list(value.shape)}; it must be [T, B] = {list(x.shape[:2])} "
                f"or [T, B, H] = {[*x.shape[:2], hidden]}"
            )
        if lengths is not None:
            # 0 * nan is nan in gradients; and a step may divide by its input or take its logarithm: 1, not 0
            beyond = torch.arange(len(x), device=x.device)[:, None] >= lengths
            wide = wide.masked_fill(beyond[..., None], 1)
        found[name] = wide.to(x.dtype)
    return found
