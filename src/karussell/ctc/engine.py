"""Which code computes the CTC loss, and why another one cannot.

cpp        the compiled kernels: float32 and float64 on the CPU, first and second derivative
triton     kernels for CUDA devices, float32, deterministic; all paths, no entropy
vendor     torch's kernel with the gradient put right: any device; all paths, no entropy
reference  plain torch, frame after frame: any device, any order of derivative, forward mode; slow
auto       the first of these that can
"""

import warnings
from functools import cache
from typing import Literal, get_args

import torch
from torch import Tensor

from karussell.ctc import gradient, kernel, reference, triton
from karussell.ctc.kernel import Task
from karussell.errors import EngineError, InputError
from karussell.native import why_not

Engine = Literal["auto", "cpp", "triton", "vendor", "reference"]


def settle(engine: Engine, x: Tensor, *, best: bool, entropy: bool) -> Engine:
    """The engine that runs: the fastest that can for `auto`; EngineError where a forced one cannot."""
    if engine not in get_args(Engine):
        raise InputError(f"ctc_loss: engine is {engine!r}; it must be one of {', '.join(get_args(Engine))}.")
    if engine == "auto":
        return _fastest(x, best or entropy)
    special = best or entropy
    reasons = {"cpp": _no_cpp(x), "triton": _no_triton(x, special), "vendor": _no_vendor(special)}
    reason = reasons.get(engine)
    if reason:
        raise EngineError(f"ctc_loss: engine '{engine}' was forced, but {reason}; use engine='auto'.")
    return engine


def run(engine: Engine, x: Tensor, task: Task, *, entropy: bool) -> reference.Answer:
    """Losses, and entropies if asked for, on the engine that was settled."""
    if engine == "cpp":
        return gradient.compiled(x, task, entropy=entropy)
    if engine == "triton":
        return gradient.by_triton(x, task)
    if engine == "vendor":
        return gradient.by_vendor(x, task)
    return reference.run(x, task, entropy=entropy)


def _fastest(x: Tensor, special: bool) -> Engine:
    """A warning, once, where nothing compiled can run on the CPU."""
    if _no_cpp(x) is None:
        return "cpp"
    if x.device.type == "cpu":
        reason = why_not(kernel.source())
        if reason:
            _warn(reason)
    if x.is_cuda and _no_triton(x, special) is None:
        return "triton"
    return "vendor" if _no_vendor(special) is None else "reference"


@cache
def _warn(reason: str) -> None:
    warnings.warn(
        f"the compiled CTC loss cannot run, so torch's kernel or plain torch does, several times slower: {reason}",
        RuntimeWarning,
        stacklevel=6,
    )


def _no_cpp(x: Tensor) -> str | None:
    if x.device.type != "cpu":
        return f"it computes on the CPU, not on {x.device}"
    if x.dtype not in kernel.KIND:
        return f"it computes in float32 and float64, not in {x.dtype}"
    return _transformed() or why_not(kernel.source())


def _no_triton(x: Tensor, special: bool) -> str | None:
    return _no_vendor(special) or triton.why_not(x)


def _no_vendor(special: bool) -> str | None:
    """Special: the best path alone, or the entropy."""
    return "it has neither the best path alone nor the entropy" if special else _transformed()


def _transformed() -> str | None:
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return "it does not run inside functorch transforms"
    if torch.autograd.forward_ad._current_level >= 0:
        return "it has no forward-mode derivative"
    return None
