"""The options of a call of the compiled loop: what of a request goes into which field, and layer norm of W x."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from karussell.cells import Cell
from karussell.cells.cell import Stage, optional
from karussell.ops.noise import key
from karussell.ops.recurrence.call import Call, pointer
from karussell.ops.recurrence.inputs import Inputs
from karussell.ops.recurrence.options import CANDIDATE, EPSILON, SEEN, ZONEOUT
from karussell.ops.recurrence.request import Request
from karussell.program import Program
from karussell.program.program import StageProgram

# where a forward call keeps, beside the courses of values, what backward reads of its options
NORMAL, DEVIATION, MADE = -100, -101, -102


def fresh(state: int) -> int:
    """Where the course of a state before zoneout is kept."""
    return -1 - state


def drops(q: Request) -> bool:
    """Whether a mask is drawn on the candidate."""
    o = q.options
    return o.training and o.dropout > 0 and o.dropout_on == "candidate"


@lru_cache(maxsize=256)
def with_drop(cell: Cell) -> Cell:
    """The cell whose step takes the mask on its candidate as one more per-step input."""
    stages = tuple(
        replace(s, step=_given(s), takes=(*s.takes, "drop")) if "drop" in optional(s) else s for s in cell.stages
    )
    return replace(
        cell, gates=(), step=None, sees=None, split=(), stages=stages, name=f"{cell.name}_drop",
        inputs=(*cell.inputs, "drop"),
    )  # fmt: skip


def _given(stage: Stage) -> Callable[..., Tensor | tuple[Tensor, ...]]:
    def step(*values: Tensor) -> Tensor | tuple[Tensor, ...]:
        return stage.step(*values[:-1], drop=values[-1])

    return step


def zoned(q: Request, p: Program) -> list[int]:
    """The states whose value before zoneout or clipping backward reads."""
    count = len(p.states)
    needed = {v - count for s in p.stages for v in s.needs if count <= v < 2 * count}
    o = q.options
    return [s for s, n in enumerate(p.states) if o.clip.get(n) or (o.zoneout.get(n) and s in needed)]


def describe(call: Call, q: Request, p: Program, inputs: Inputs, alive: list[Tensor]) -> None:
    """Write a request's options into the call; tensors made here are added to `alive`."""
    o, noise = q.options, q.noise
    gal = o.training and o.dropout > 0 and o.dropout_on == "seen"
    call.special = int(q.resets is not None or not o.plain)
    call.training, call.first = int(o.training), q.first
    if q.resets is not None:
        resets = q.resets.to("cpu", torch.uint8).contiguous()
        alive.append(resets)
        call.resets = pointer(resets)
        for s, value in enumerate(inputs.start):
            call.start[s] = pointer(value)
    for s, name in enumerate(p.states):
        rate = o.zoneout.get(name, 0.0)
        call.zone[s], call.clip[s] = rate, o.clip.get(name, 0.0)
        if rate and o.training:
            call.zone_key[s], call.zone_below[s] = key(noise, ZONEOUT + s), limit(rate)
    if o.training and o.dropout:
        call.drop_below, call.drop_scale = limit(o.dropout), 1 / (1 - o.dropout)
        call.drop_key = key(noise, CANDIDATE)
    if drops(q):
        call.drop_value = p.first_fixed + len(inputs.units) + p.inputs.index("drop")
    if gal:
        call.gal = 1
        seeing = [k for k, stage in enumerate(p.stages) if stage.sees]
        for number, k in enumerate(seeing):
            call.gal_key[k] = key(noise, SEEN + number)


def gain(p: Program, s: StageProgram, given: Tensor, hidden: int) -> Tensor:
    """A stage's gain, from the parameter's order of gates to that of the stage's recurrent arrivals."""
    names = [a if a in p.gates else a[:-2] for a in s.arrivals]
    gates = [g for g in p.gates if g in names]
    parts = dict(zip(gates, given.split(hidden), strict=True))
    return torch.cat([parts[n] for n in names[s.alone :]])


def limit(rate: float) -> int:
    """The rate in units of 2^-24: a drawn number is below it as often as the float32 rate says."""
    return math.ceil(float(torch.tensor(rate, dtype=torch.float32)) * 2**24)


def normal_inputs(q: Request, p: Program, inputs: Inputs) -> tuple[Tensor, Tensor]:
    """W x normalised gate by gate, without gain, [T * B, fed gates, H]; and one over its deviation."""
    x = inputs.x
    if q.lengths is not None:
        # what lies beyond a row's length may be nan
        valid = torch.arange(x.shape[0], device=x.device)[:, None] < q.lengths
        x = torch.where(valid[..., None], x, torch.zeros_like(x))
    products = (x.reshape(-1, x.shape[2]) @ inputs.w.T).view(-1, len(p.fed), q.hidden)
    normal, _, deviation = torch.native_layer_norm(products, [q.hidden], None, None, EPSILON)
    return normal, deviation


def input_gradients(q: Request, inputs: Inputs, kept: Sequence[Tensor], dz: Tensor) -> tuple[Tensor, Tensor]:
    """From dz [T * B, fed gates * H] to the gradients of W x (before the norm), and of the gain."""
    normal, deviation = kept
    assert inputs.norm_x is not None
    dz = dz.view(normal.shape)
    d_gain = (dz * normal).sum(0).flatten()
    scaled = dz * inputs.norm_x.view(normal.shape[1:])
    zero, one = torch.zeros_like(deviation), torch.ones_like(deviation)
    back, _, _ = torch.ops.aten.native_layer_norm_backward(
        scaled, normal, [q.hidden], zero, one, None, None, [True, False, False]
    )
    return (back * deviation).flatten(1), d_gain
