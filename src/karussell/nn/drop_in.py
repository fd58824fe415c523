"""What the drop-ins for torch.nn.LSTM, GRU and RNN share: torch's argument checks, weight names, order and errors."""

import math
import numbers
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import Module, Parameter, init
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from karussell.cells import Cell
from karussell.nn.layout import Layout, unfold
from karussell.nn.stack import final_states, full_precision, stack, together
from karussell.nn.stepper import Stepper
from karussell.ops import Engine, Result, Weights, both, recurrence


@dataclass(frozen=True)
class Plan:
    """The sizes of a drop-in.

    names  of its weights: by the ends that they have, layer after layer, forwards before backwards, and by their
           beginnings, both in torch's order
    """

    name: str
    cell: Cell
    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    bidirectional: bool
    proj_size: int = 0
    names: Mapping[str, Mapping[str, str]] = field(init=False, compare=False)

    @property
    def directions(self) -> int:
        """One, or two where it also runs backwards."""
        return 2 if self.bidirectional else 1

    @property
    def width(self) -> int:
        """What one direction gives a step."""
        return self.proj_size or self.hidden_size

    def __post_init__(self) -> None:
        stems = ["weight_ih", "weight_hh"]
        stems += ["bias_ih", "bias_hh"] if self.bias else []
        stems += ["weight_hr"] if self.proj_size else []
        ends = ("", "_reverse")[: self.directions]
        suffixes = [f"_l{layer}{end}" for layer in range(self.num_layers) for end in ends]
        object.__setattr__(self, "names", {suffix: {stem: stem + suffix for stem in stems} for suffix in suffixes})


def declare(
    module: Module,
    plan: Plan,
    batch_first: bool,
    dropout: float,
    device: torch.device | str | int | None,
    dtype: torch.dtype | None,
) -> None:
    """Check the arguments as torch does; give the module its weights in torch's order, filled as torch fills them."""
    _check_arguments(plan, batch_first, dropout)
    gates = len(plan.cell.gates) * plan.hidden_size
    shapes = {
        "weight_hh": (gates, plan.width),
        "bias_ih": (gates,),
        "bias_hh": (gates,),
        "weight_hr": (plan.proj_size, plan.hidden_size),
    }
    for index, names in enumerate(plan.names.values()):
        size = plan.input_size if index < plan.directions else plan.width * plan.directions
        for stem, name in names.items():
            shape = {"weight_ih": (gates, size), **shapes}[stem]
            setattr(module, name, Parameter(torch.empty(shape, device=device, dtype=dtype)))
    reset(module, plan.hidden_size)


def reset(module: Module, hidden_size: int) -> None:
    """Uniform between -1/sqrt(H) and 1/sqrt(H), all weights in their order: torch's numbers for torch's seed."""
    bound = 1 / math.sqrt(hidden_size)
    for weight in module.parameters():
        init.uniform_(weight, -bound, bound)


def run(
    module: Module,
    plan: Plan,
    source: Tensor | PackedSequence,
    hx: Sequence[Tensor] | None,
    lengths: Tensor | Sequence[int] | None,
    *,
    batch_first: bool,
    dropout: float,
    engine: Engine,
) -> tuple[Tensor | PackedSequence, list[Tensor]]:
    """All layers and directions; the output as the input came, and the final states."""
    x, lengths, layout = unfold(plan.name, source, lengths, batch_first)

    def between(y: Tensor, layer: int) -> Tensor:  # noqa: ARG001 - the stack names the layer
        return F.dropout(y, dropout, module.training)

    with full_precision(x) as cast:
        weights = [layer_weights(module, plan, suffix) for suffix in plan.names]
        dtype = weights[0].w.dtype
        x = cast(x, dtype)
        _check_input(plan, x, weights[0].w)
        states = None if hx is None else [cast(h, dtype) for h in _given(plan, hx, x, layout)]

        def one(x: Tensor, index: int, reverse: bool) -> Result:
            state = None if states is None else [s[index] for s in states]
            return recurrence(plan.cell, x, weights[index], state, lengths=lengths, reverse=reverse, engine=engine)

        def two(x: Tensor, index: int) -> list[Result]:
            state = [None if states is None else [s[n] for s in states] for n in (index, index + 1)]
            return both(plan.cell, x, weights[index : index + 2], state, lengths=lengths, engine=engine)

        pair = two if together(x, engine) else None
        y, results = stack(one, x, plan.num_layers, plan.directions, between=between, pair=pair)
    return layout.output(y), [layout.state_out(s) for s in final_states(results)]


def stepper(module: Module, plan: Plan, batch: int) -> Stepper:
    """One step at a time, for layers of one direction without projection."""
    if plan.bidirectional or plan.proj_size:
        what = "both directions" if plan.bidirectional else "a projection"
        raise ValueError(f"{plan.name}: a stepper goes forward, one step at a time; this layer has {what}")
    return Stepper(plan.cell, [layer_weights(module, plan, suffix) for suffix in plan.names], batch)


def fold_biases(cell: Cell, b_ih: Tensor, b_hh: Tensor) -> tuple[Tensor, Tensor | None]:
    """Torch's two biases as the one a gate that adds them has, and the second one of gates that keep them apart."""
    if not cell.split_gates:
        return b_ih + b_hh, None
    # torch's GRU has its split gate, n, last
    own = b_ih.shape[0] // len(cell.gates) * len(cell.split_gates)
    return torch.cat([b_ih[:-own] + b_hh[:-own], b_ih[-own:]]), b_hh[-own:]


def extra_repr(plan: Plan, batch_first: bool, dropout: float) -> str:
    """The line torch prints."""
    line = f"{plan.input_size}, {plan.hidden_size}"
    line += f", proj_size={plan.proj_size}" if plan.proj_size else ""
    line += f", num_layers={plan.num_layers}" if plan.num_layers != 1 else ""
    line += "" if plan.bias else ", bias=False"
    line += ", batch_first=True" if batch_first else ""
    line += f", dropout={dropout}" if dropout else ""
    return line + (", bidirectional=True" if plan.bidirectional else "")


def layer_weights(module: Module, plan: Plan, suffix: str) -> Weights:
    """The weights of one layer and direction, with one bias a gate that adds torch's two."""
    # read by name at every call: a parametrised weight is computed then, a functional call puts its own in place
    found = {stem: getattr(module, name) for stem, name in plan.names[suffix].items()}
    b, b_r = fold_biases(plan.cell, found["bias_ih"], found["bias_hh"]) if plan.bias else (None, None)
    return Weights(found["weight_ih"], (found["weight_hh"],), b, b_r, p=found.get("weight_hr"))


def _given(plan: Plan, hx: Sequence[Tensor], x: Tensor, layout: Layout) -> list[Tensor]:
    """The initial states as [N, B, width]; torch's errors where they do not fit."""
    several = len(plan.cell.state) > 1
    dims = 3 if layout.batched else 2
    found = []
    for k, h in enumerate(hx):
        what = f"hidden[{k}]" if several else "hidden"
        if h.dim() != dims:
            batched, names = ("batched 3-D", "3-D") if layout.batched else ("unbatched 2-D", "2-D")
            raise RuntimeError(f"{plan.name}: For {batched} input, {what} should also be {names} but got {h.dim()}-D")
        if h.device != x.device:
            raise RuntimeError(
                f"{plan.name}: Input and hidden tensors are not at the same device, "
                f"found input tensor at {x.device} and hidden tensor at {h.device}"
            )
        h = h if layout.batched else h[:, None]
        width = plan.width if k == 0 else plan.hidden_size
        need = [plan.num_layers * plan.directions, x.shape[1], width]
        if list(h.shape) != need:
            raise RuntimeError(
                f"{plan.name}: Expected {what} size {need}, got {list(h.shape)}: it is "
                "[layers * directions, batch, width], also with batch_first"
            )
        found.append(layout.state_in(h if layout.batched else h[:, 0]))
    return found


def _check_input(plan: Plan, x: Tensor, weight: Tensor) -> None:
    if x.shape[-1] != plan.input_size:
        raise RuntimeError(
            f"{plan.name}: input.size(-1) must be equal to input_size. Expected {plan.input_size}, got {x.shape[-1]}"
        )
    if x.shape[0] == 0:
        raise RuntimeError(f"{plan.name}: Expected sequence length to be larger than 0 in RNN")
    if x.device != weight.device:
        raise RuntimeError(
            f"{plan.name}: Input and parameter tensors are not at the same device, "
            f"found input tensor at {x.device} and parameter tensor at {weight.device}"
        )
    if x.dtype != weight.dtype:
        raise ValueError(
            f"RNN input dtype ({x.dtype}) does not match weight dtype ({weight.dtype}). "
            f"Convert input: input.to({weight.dtype}), or convert model: model.to({x.dtype})"
        )


def _check_arguments(plan: Plan, batch_first: bool, dropout: float) -> None:
    if not isinstance(dropout, numbers.Number) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
        raise ValueError(
            f"{plan.name}: dropout should be a number in range [0, 1] representing the probability of an element "
            f"being zeroed, not {dropout}"
        )
    if dropout > 0 and plan.num_layers == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
            f"num_layers greater than 1, but got dropout={dropout} and num_layers={plan.num_layers}",
            stacklevel=4,
        )
    for name, flag in (("bias", plan.bias), ("batch_first", batch_first)):
        if not isinstance(flag, bool):
            raise TypeError(f"{plan.name}: {name} should be of type bool, got: {type(flag).__name__}")
    for name, size in (("input_size", plan.input_size), ("hidden_size", plan.hidden_size)):
        if not isinstance(size, int):
            raise TypeError(f"{plan.name}: {name} should be of type int, got: {type(size).__name__}")
        if size <= 0:
            raise ValueError(f"{plan.name}: {name} must be greater than zero, not {size}")
    if plan.num_layers <= 0:
        raise ValueError(f"{plan.name}: num_layers must be greater than zero, not {plan.num_layers}")
    if plan.proj_size < 0:
        raise ValueError(f"{plan.name}: proj_size should be a positive integer or zero to disable projections")
    if plan.proj_size >= plan.hidden_size:
        raise ValueError(
            f"{plan.name}: proj_size has to be smaller than hidden_size, but {plan.proj_size} >= {plan.hidden_size}"
        )
