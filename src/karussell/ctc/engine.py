"""Which code computes the CTC loss, and why another one cannot.

cpp        the compiled kernels: float32 and float64 on the CPU, first and second derivative
vendor     torch's kernel with the gradient put right: any device; all paths, no entropy
reference  plain torch, frame after frame: any device, any order of derivative, forward mode; slow
auto       the first of these that can
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Literal, get_args

import torch
from torch import Tensor

from karussell.ctc import gradient, kernel, reference
from karussell.ctc.kernel import Task
from karussell.errors import EngineError, InputError
from karussell.native import why_not

Engine = Literal["auto", "cpp", "vendor", "reference"]


def run(engine: Engine, x: Tensor, task: Task, *, entropy: bool) -> reference.Answer:
    """Losses, and entropies if asked for, on an engine that can; EngineError where a forced one cannot."""
    if engine not in get_args(Engine):
        raise InputError(f"ctc_loss: engine is {engine!r}; it must be one of {', '.join(get_args(Engine))}.")
    if engine == "auto":
        engine = choose(x, task, entropy)
    else:
        reason = _WHY_NOT[engine](x, task, entropy)
        if reason:
            raise EngineError(f"ctc_loss: engine '{engine}' was forced, but {reason}; use engine='auto'.")
    if engine == "cpp":
        return gradient.compiled(x, task, entropy=entropy)
    if engine == "vendor":
        return gradient.by_vendor(x, task)
    return reference.run(x, task, entropy=entropy)


def choose(x: Tensor, task: Task, entropy: bool) -> Engine:
    """What `auto` is for this input; a warning, once, where nothing compiled can run on the CPU."""
    if _no_cpp(x, task, entropy) is None:
        return "cpp"
    if x.device.type == "cpu":
        reason = why_not(kernel.source())
        if reason:
            _warn(reason)
    return "vendor" if _no_vendor(x, task, entropy) is None else "reference"


@cache
def _warn(reason: str) -> None:
    warnings.warn(
        f"the compiled CTC loss cannot run, so torch's kernel or plain torch does, several times slower: {reason}",
        RuntimeWarning,
        stacklevel=6,
    )


def _no_cpp(x: Tensor, task: Task, entropy: bool) -> str | None:  # noqa: ARG001 - all three are asked alike
    if x.device.type != "cpu":
        return f"it computes on the CPU, not on {x.device}"
    if x.dtype not in kernel.KIND:
        return f"it computes in float32 and float64, not in {x.dtype}"
    return _transformed() or why_not(kernel.source())


def _no_vendor(x: Tensor, task: Task, entropy: bool) -> str | None:  # noqa: ARG001
    if task.best or entropy:
        return "it has neither the best path alone nor the entropy"
    return _transformed()


def _no_reference(x: Tensor, task: Task, entropy: bool) -> str | None:  # noqa: ARG001
    return None


def _transformed() -> str | None:
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return "it does not run inside functorch transforms"
    if torch.autograd.forward_ad._current_level >= 0:
        return "it has no forward-mode derivative"
    return None


_WHY_NOT: dict[str, Callable[[Tensor, Task, bool], str | None]] = {
    "cpp": _no_cpp,
    "vendor": _no_vendor,
    "reference": _no_reference,
}
