"""Derivatives of compiled gradients: the same gradients once more, by the reference engine, which has all orders."""

from collections.abc import Sequence

import torch
from torch import Tensor

from karussell.ops.context import forward_mode, transformed
from karussell.ops.engine import Engine, record
from karussell.ops.recurrence import reference
from karussell.ops.recurrence.invoke import Inputs
from karussell.ops.recurrence.request import Request
from karussell.ops.recurrence.weights import Weights
from karussell.program import Program


def wanted_again(grads: Sequence[Tensor | None]) -> bool:
    """Whether a backward pass is itself to be differentiated, batched or pushed forward: numbers alone do not do."""
    return torch.is_grad_enabled() or transformed() or forward_mode() or any(map(_batched, grads))


def _batched(grad: Tensor | None) -> bool:
    # torch.autograd.grad(is_grads_batched=True) has a vmap of its own
    return grad is not None and torch._C._functorch.is_legacy_batchedtensor(grad)


def gradients_again(
    q: Request, p: Program, tensors: Sequence[Tensor | None], wanted: Sequence[bool], grads: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Gradients of the wanted tensors, in the flat order, from those of y, the final states and the states shown."""
    places = [k for k, (t, want) in enumerate(zip(tensors, wanted, strict=True)) if want and t is not None]

    def outputs(*leaves: Tensor) -> list[Tensor]:
        flat = list(tensors)
        for k, leaf in zip(places, leaves, strict=True):
            flat[k] = leaf
        answer = reference.run(_request(q, p, Inputs.of(p, flat)))
        found = [answer.y, *answer.state.values()]
        found += [] if answer.states is None else [answer.states[n] for n in p.states[1:]]
        return [v for v, g in zip(found, grads, strict=True) if g is not None]

    record(Engine.reference)
    leaves = [t for k in places if (t := tensors[k]) is not None]
    found = torch.func.vjp(outputs, *leaves)[1]([g for g in grads if g is not None])
    by_place = dict(zip(places, found, strict=True))
    return [by_place.get(k) for k in range(len(tensors))]


def _request(q: Request, p: Program, inputs: Inputs) -> Request:
    b, b_r = None, None
    if inputs.bias is not None:
        parts = dict(zip(p.arrivals, inputs.bias.split(q.hidden), strict=True))
        b = torch.cat([parts[f"{n}_x" if n in p.split else n] for n in p.gates])
        b_r = torch.cat([parts[f"{n}_r"] for n in p.split]) if p.split else None
    units = dict(zip(p.units + p.constants, inputs.units, strict=True))
    weights = Weights(inputs.w, inputs.r, b, b_r, units, inputs.norm_x, inputs.norm_r or None, inputs.p)
    given = {n: v for n, v in zip(p.states, inputs.state, strict=True) if v is not None}
    start = {n: v for n, v in zip(p.states, inputs.start, strict=False) if v is not None}
    return q._replace(x=inputs.x, weights=weights, state=given or None, start=start or None)
