"""The CTC loss as a function with derivatives: the kernels for the first and the second, the reference for the others.

With occupancy_t(k), the probability that frame t says k on a path that becomes the target,

    d loss / d log_probs[t, k] = -occupancy_t(k)
    d loss / d logits[t, k]    = softmax(logits[t])[k] - occupancy_t(k)

The entropy of the paths is H = -loss - sum of occupancy_t(k) log_probs[t, k], so its gradient is the loss's second
derivative in the direction of log_probs itself.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from karussell.ctc import kernel, reference, triton, vendor
from karussell.ctc.kernel import Task


def compiled(x: Tensor, task: Task, *, entropy: bool = False) -> reference.Answer:
    """Losses, and entropies if asked for, by the compiled kernels."""
    closed: list[bool] = []
    if entropy:
        losses, entropies = _Entropy.apply(x, task, closed)
        return reference.Answer(losses, entropies, closed[0])
    if torch.is_grad_enabled() and x.requires_grad:
        return reference.Answer(_Loss.apply(x, task, closed), None, closed[0])
    made = kernel.forward(x, task, keep=False)
    return reference.Answer(made.losses, None, made.closed)


def by_vendor(x: Tensor, task: Task) -> reference.Answer:
    """Losses by torch's kernel."""
    lp = x.log_softmax(-1) if task.logits else x
    return reference.Answer(_Vendor.apply(lp, task._replace(logits=False)), None)


def by_triton(x: Tensor, task: Task) -> reference.Answer:
    """Losses by the kernels for CUDA devices."""
    if torch.is_grad_enabled() and x.requires_grad:
        return reference.Answer(_Triton.apply(x, task), None)
    return reference.Answer(triton.forward(x, task, keep=False).losses, None)


class _Loss(torch.autograd.Function):
    """Losses; whether some are infinite is appended to `closed`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, task: Task, closed: list[bool]) -> Tensor:
        made = kernel.forward(x, task, keep=True)
        closed.append(made.closed)
        ctx.task = task
        ctx.save_for_backward(x, made.occupancy, made.shift)
        return made.losses

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        x, occupancy, shift = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _Gradient.apply(x, upstream, occupancy, shift, ctx.task), None, None
        return kernel.spread(x, ctx.task, occupancy, shift, upstream), None, None


class _Gradient(torch.autograd.Function):
    """upstream[b] times the gradient of loss b, as a function of x and upstream."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, upstream: Tensor, occupancy: Tensor, shift: Tensor | None, task: Task) -> Tensor:
        ctx.task = task
        ctx.save_for_backward(x, upstream, occupancy, shift)
        return kernel.spread(x, task, occupancy, shift, upstream)

    @staticmethod
    def backward(ctx: Any, u: Tensor) -> tuple[Tensor | None, ...]:
        x, upstream, occupancy, shift = ctx.saved_tensors
        task = ctx.task
        if torch.is_grad_enabled():
            return *_third(x, upstream, u, lambda x: reference.run(x, task).losses), None, None, None
        dx = kernel.spread(x, _plain(task), kernel.tangent(x, task, occupancy, shift, u), None, upstream)
        if task.logits:
            inside = (torch.arange(x.shape[0])[:, None] < task.input_lengths)[..., None]
            y = torch.where(inside, (x - shift[..., None]).exp(), 0.0)
            u = torch.where(inside, u, 0.0)
            dx += upstream[:, None] * y * (u - (y * u).sum(-1, keepdim=True))
        ones = kernel.spread(x, task, occupancy, shift, torch.ones_like(upstream))
        return dx, (ones * u).sum((0, 2)), None, None, None


class _Entropy(torch.autograd.Function):
    """Losses and entropies of log-probabilities; `closed` as above."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, task: Task, closed: list[bool]) -> tuple[Tensor, Tensor]:
        made = kernel.forward(x, task, keep=True, scores=True)
        closed.append(made.closed)
        ctx.task = task
        ctx.save_for_backward(x, made.occupancy)
        assert made.scores is not None
        entropies = (-made.losses.double() - made.scores).to(x.dtype)
        return made.losses, torch.where(made.losses.isinf(), 0.0, entropies)

    @staticmethod
    def backward(ctx: Any, d_losses: Tensor, d_entropies: Tensor) -> tuple[Tensor, None, None]:
        x, occupancy = ctx.saved_tensors
        task = ctx.task
        if torch.is_grad_enabled():
            first = _again(x, d_losses, lambda x: reference.run(x, task).losses)
            second = _again(x, d_entropies, lambda x: reference.run(x, task, entropy=True).entropies)
            return first + second, None, None
        dx = kernel.spread(x, task, occupancy, None, d_losses)
        # log 0 times its share, 0, is nothing
        change = kernel.tangent(x, task, occupancy, None, x.clamp(min=torch.finfo(x.dtype).min))
        return dx.add_(kernel.spread(x, task, change, None, d_entropies)), None, None


class _Vendor(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, lp: Tensor, task: Task) -> Tensor:
        made = vendor.forward(lp, task)
        ctx.task = task
        ctx.save_for_backward(lp, *made)
        return made.losses

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        lp, *made = ctx.saved_tensors
        task = ctx.task
        if torch.is_grad_enabled():
            return _again(lp, upstream, lambda x: reference.run(x, task).losses), None
        return vendor.gradient(lp, task, vendor.Forward(*made), upstream), None


class _Triton(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, task: Task) -> Tensor:
        made = triton.forward(x, task, keep=True)
        ctx.task = task
        ctx.save_for_backward(x, *made)
        return made.losses

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        x, *made = ctx.saved_tensors
        task = ctx.task
        if torch.is_grad_enabled():
            return _again(x, upstream, lambda x: reference.run(x, task).losses), None
        return triton.gradient(x, task, triton.Forward(*made), upstream), None


def _plain(task: Task) -> Task:
    return task._replace(logits=False)


def _again(x: Tensor, upstream: Tensor, value: Callable[[Tensor], Any]) -> Tensor:
    """The gradient of value(x) as a differentiable function, by the reference."""
    found = value(x)
    (dx,) = torch.autograd.grad(
        torch.where(upstream != 0, found, 0.0), x, upstream, create_graph=True, materialize_grads=True
    )
    return dx


def _third(
    x: Tensor, upstream: Tensor, u: Tensor, value: Callable[[Tensor], Tensor]
) -> tuple[Tensor | None, Tensor | None]:
    """The derivatives of <u, gradient> with respect to x and upstream, differentiable."""
    gradient = _again(x, upstream, value)
    leaves = [v for v in (x, upstream) if v.requires_grad]
    found = iter(torch.autograd.grad(gradient, leaves, u, create_graph=True, materialize_grads=True))
    return next(found) if x.requires_grad else None, next(found) if upstream.requires_grad else None
