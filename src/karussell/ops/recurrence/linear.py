"""h_t = a_t h_(t-1) + b_t for all t at once, in chunks: 2 sqrt(T) operations instead of T, in plain torch.

Time is cut into about sqrt(T) chunks of about sqrt(T) steps. All chunks run at once from zero, step by step, beside the
products of their factors; then the states between chunks follow one by one; then every chunk adds what came before it.
All of it is linear space: nothing is divided and no logarithm taken, so a is any number, and where no |a| exceeds 1
rounding errors are forgotten as the state is, however long the sequence. Any dtype, device and order of derivative.
"""

import math
from typing import Any

import torch
from torch import Tensor


def linear(a: Tensor, b: Tensor, start: Tensor, reverse: bool = False) -> Tensor:
    """All h of h_t = a_t h_(t-1) + b_t from h before the first step; with `reverse` from the last step to the first.

    a, b   [T, ...] of one shape, T at least 1
    start  [...]
    """
    return _Linear.apply(a, b, start, reverse)


class _Linear(torch.autograd.Function):
    """Derivatives are such recurrences themselves: backward the other way round, forward mode the same way."""

    @staticmethod
    def forward(a: Tensor, b: Tensor, start: Tensor, reverse: bool) -> Tensor:
        return _scan(a, b, start, reverse)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, bool], output: Tensor) -> None:
        a, _, start, ctx.reverse = inputs
        ctx.save_for_backward(a, start, output)
        ctx.save_for_forward(a, start, output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a, start, h = ctx.saved_tensors
        first = -1 if ctx.reverse else 0
        # the gradient of h_t is that of what is seen of it and, times a, that of the step after it
        back = linear(_later(a, ctx.reverse), grad, torch.zeros_like(start), not ctx.reverse)
        return back * before(h, start, ctx.reverse), back, a[first] * back[first], None

    @staticmethod
    def jvp(ctx: Any, d_a: Tensor | None, d_b: Tensor | None, d_start: Tensor | None, _: None) -> Tensor:
        a, start, h = ctx.saved_tensors
        moved = torch.zeros_like(h) if d_b is None else d_b
        moved = moved if d_a is None else moved + d_a * before(h, start, ctx.reverse)
        return linear(a, moved, torch.zeros_like(start) if d_start is None else d_start, ctx.reverse)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], a: Tensor, b: Tensor, start: Tensor, reverse: bool) -> Any:
        size = info.batch_size
        # a batch of many is one more of the independent dimensions, the last
        a, b, start = (
            v[..., None].expand(*v.shape, size) if dim is None else v.movedim(dim, -1)
            for v, dim in zip((a, b, start), in_dims[:3], strict=True)
        )
        return linear(a, b, start, reverse), a.dim() - 1


def before(h: Tensor, start: Tensor, reverse: bool) -> Tensor:
    """At every step the state that it came from."""
    return torch.cat([h[1:], start[None]]) if reverse else torch.cat([start[None], h[:-1]])


def _later(a: Tensor, reverse: bool) -> Tensor:
    """At every step the factor of the one that follows it; zero for the last."""
    zero = torch.zeros_like(a[:1])
    return torch.cat([zero, a[:-1]]) if reverse else torch.cat([a[1:], zero])


def _scan(a: Tensor, b: Tensor, start: Tensor, reverse: bool) -> Tensor:
    steps = a.shape[0]
    if any(map(torch._C._functorch.is_legacy_batchedtensor, (a, b, start))):
        return _step_by_step(a, b, start, reverse)
    size = math.isqrt(steps - 1) + 1
    count = -(-steps // size)
    missing = count * size - steps
    if missing:
        # steps that nobody sees, behind the last one
        pad = (0, 0) * (a.dim() - 1) + ((missing, 0) if reverse else (0, missing))
        a, b = (torch.nn.functional.pad(v, pad) for v in (a, b))
    a, b = a.unflatten(0, (count, size)), b.unflatten(0, (count, size))
    order = range(size - 1, -1, -1) if reverse else range(size)
    h, product = torch.empty_like(b), torch.empty_like(b)
    last = None
    for k in order:
        if last is None:
            h[:, k].copy_(b[:, k])
            product[:, k].copy_(a[:, k])
        else:
            torch.addcmul(b[:, k], a[:, k], h[:, last], out=h[:, k])
            torch.mul(a[:, k], product[:, last], out=product[:, k])
        last = k
    assert last is not None
    carried = torch.empty_like(h[:, 0])
    state = start
    for chunk in range(count - 1, -1, -1) if reverse else range(count):
        carried[chunk].copy_(state)
        state = torch.addcmul(h[chunk, last], product[chunk, last], state)
    h.addcmul_(product, carried[:, None])
    h = h.flatten(0, 1)
    return h[missing:] if reverse else h[:steps]


def _step_by_step(a: Tensor, b: Tensor, start: Tensor, reverse: bool) -> Tensor:
    """The same without writing in place, which the older vmap inside torch.autograd cannot do."""
    found, h = [], start
    for t in reversed(range(a.shape[0])) if reverse else range(a.shape[0]):
        h = torch.addcmul(b[t], a[t], h)
        found.append(h)
    return torch.stack(found[::-1] if reverse else found)
