"""Layers on layers, in one direction or both: what every recurrent module here is made of."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor

from karussell.ops import Engine, Result
from karussell.ops.context import narrowed

S = TypeVar("S", Tensor, tuple[Tensor, ...])


def stack(
    run: Callable[[Tensor, int, bool], Result],
    x: Tensor,
    layers: int,
    directions: int,
    *,
    between: Callable[[Tensor, int], Tensor] | None = None,
    residual: bool = False,
    pair: Callable[[Tensor, int], list[Result]] | None = None,
) -> tuple[Tensor, list[Result]]:
    """Run layers of one or two directions over x [T, B, I]; the output [T, B, directions * width] and all results.

    run       (x, index, reverse) -> Result; the index is layer * directions + direction, the row of the state
    between   (y, layer) -> what layer sees instead of y, from the second layer on (dropout)
    pair      (x, index) -> the results of both directions at once, where an engine has that
    residual  y of a layer = its input + what it makes of between(input), from the second layer on
    """
    results: list[Result] = []
    for layer in range(layers):
        seen = x if layer == 0 or between is None else between(x, layer)
        if pair is not None and directions == 2:
            found = pair(seen, layer * 2)
        else:
            found = [run(seen, layer * directions + d, d == 1) for d in range(directions)]
        y = found[0].y if directions == 1 else torch.cat([f.y for f in found], -1)
        if residual and layer:
            if y.shape != x.shape:
                raise ValueError(
                    f"residual: layer {layer} takes {x.shape[-1]} values a step and gives {y.shape[-1]}; "
                    "to add the two, both must be equal"
                )
            y = y + x
        x = y
        results += found
    return x, results


def together(x: Tensor, engine: Engine) -> bool:
    """Whether both directions may run in one launch: on CUDA devices, and not in a graph of torch.compile."""
    return (x.is_cuda or engine == Engine.triton) and not torch.compiler.is_compiling()


def final_states(results: Sequence[Result]) -> list[Tensor]:
    """The final states of all layers and directions, one [layers * directions, B, width] a state."""
    if len(results) == 1:
        # nothing to copy
        return [part[None] for part in results[0].state]
    return [torch.stack(parts) for parts in zip(*(r.state for r in results), strict=True)]


def detach(state: S) -> S:
    """The same state without its history: where truncated backpropagation through time cuts.

    Takes what a layer gave: a tensor, a tuple of tensors, or a NamedTuple of tensors.
    """
    if isinstance(state, Tensor):
        return state.detach()
    parts = [part.detach() for part in state]
    return tuple(parts) if type(state) is tuple else type(state)(*parts)


def full_precision(x: Tensor) -> AbstractContextManager[Callable[[Tensor, torch.dtype], Tensor]]:
    """No autocast inside: a state that is rounded at every step forgets. Gives the cast that inputs then need."""
    kind = x.device.type
    return _without_autocast(kind) if narrowed(kind) else nullcontext(_as_it_is)


@contextmanager
def _without_autocast(kind: str) -> Iterator[Callable[[Tensor, torch.dtype], Tensor]]:
    with torch.autocast(kind, enabled=False):
        yield lambda value, dtype: value.to(dtype)


def _as_it_is(value: Tensor, dtype: torch.dtype) -> Tensor:  # noqa: ARG001 - there is nothing to cast
    return value
