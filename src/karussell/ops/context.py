"""What surrounds a call, for engines bear different things: functorch transforms, forward mode, compilers, modes."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

F = TypeVar("F", bound=Callable[..., Any])
_PLAIN = (Tensor, torch.nn.Parameter, type(None))


def constant(function: F) -> F:
    """What torch.compile calls while it traces, and takes the result for a constant.

    As torch.compiler.assume_constant_result, which would import the whole compiler for everybody.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def remembered(function: F) -> F:
    """A cache of results, beside which torch.compile traces the function itself."""
    kept = lru_cache(maxsize=1024)(function)

    @wraps(function)
    def call(*args: Any) -> Any:
        return function(*args) if torch.compiler.is_compiling() else kept(*args)

    return call  # type: ignore[return-value]


def narrowed(kind: str) -> bool:
    """Whether autocast is at work on this kind of device."""
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


@contextmanager
def no_autocast(kind: str) -> Iterator[None]:
    """No autocast on this kind of device: a sum over time that is rounded at every step is lost."""
    if not narrowed(kind):
        yield
        return
    with torch.autocast(kind, enabled=False):
        yield


@constant
def transformed() -> bool:
    """Whether a functorch transform is at work: vmap, grad, jvp and what is made of them."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def forward_mode() -> bool:
    """Whether a level of forward-mode derivatives is open."""
    return torch.autograd.forward_ad._current_level >= 0


def known(tensor: Tensor) -> bool:
    """Whether the numbers in a tensor can be looked at: not in compilers, nor where it is fake or a batch of many."""
    if torch.compiler.is_compiling():
        return False
    return type(tensor) in _PLAIN and not (transformed() and torch._C._functorch.is_batchedtensor(tensor))


def seen(tensors: Iterable[Tensor | None]) -> bool:
    """Whether torch must see a call as an operator: a mode looks on, or a tensor is more than its numbers."""
    return torch._C._len_torch_dispatch_stack() > 0 or any(type(t) not in _PLAIN for t in tensors)
