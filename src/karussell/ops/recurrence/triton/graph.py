"""The many launches of a call as one CUDA graph: recorded once for a shape, in memory of its own, and played again."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from karussell.ops.recurrence.triton.memory import Values

# how many graphs are kept, the last used ones, and how much memory one may have
MOST, BYTES = 4, 1 << 30
_lock = threading.Lock()
_kept: "OrderedDict[Hashable, Recorded]" = OrderedDict()


class Recorded(NamedTuple):
    """A graph, and the memory it reads and writes."""

    replay: Callable[[], None]
    memory: dict[str, Tensor]


def run(key: Hashable, values: Values, written: Iterable[str], whole: bool, work: Callable[[Values], None]) -> None:
    """work(values), played from its graph where there is a device.

    written   what it writes;  whole: everywhere, so that nothing has to be there before
    """
    tensors = {n: v for n, v in values.items() if isinstance(v, Tensor)}
    if not usable(tensors):
        work(values)
        return
    numbers = tuple((n, v) for n, v in sorted(values.items()) if not isinstance(v, Tensor))
    shapes = tuple((n, tuple(v.shape), v.dtype) for n, v in sorted(tensors.items()))
    exact = torch.backends.cuda.matmul.allow_tf32
    full = (key, numbers, shapes, tensors["scratch"].device, exact)
    out = set(written)
    with _lock:
        made = _kept.pop(full, None) or _record(values, tensors, work)
        _kept[full] = made
        while len(_kept) > MOST:
            _kept.popitem(last=False)
        for name, tensor in tensors.items():
            if name == "scratch" or not (whole and name in out):
                made.memory[name].copy_(tensor)
        made.replay()
        for name in out | {"scratch"}:
            tensors[name].copy_(made.memory[name])


def usable(tensors: dict[str, Tensor]) -> bool:
    """Whether these tensors are on a device that nobody records on, and small enough to be there twice."""
    if not tensors["scratch"].is_cuda or torch.cuda.is_current_stream_capturing():
        return False
    return sum(v.numel() * v.element_size() for v in tensors.values()) <= BYTES


def _record(values: Values, tensors: dict[str, Tensor], work: Callable[[Values], None]) -> Recorded:
    memory = {n: v.clone() for n, v in tensors.items()}
    return Recorded(capture(work, {**values, **memory}), memory)


def capture(work: Callable[[Values], None], values: Values) -> Callable[[], None]:
    """Run once, so that all is compiled, and record the second time."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        work(dict(values))
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        work(dict(values))
    return graph.replay
