"""What both benches of CUDA devices share: clocks that wait for the device, dtypes, rows, and the table."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from karussell.bench import machine
from karussell.bench.result import Result, Row, median, spread
from karussell.bench.timing import turn_about
from karussell.errors import InputError
from karussell.native import triton

# seconds: for everything, with a reserve below nine minutes for what is still compiling; for one shape
WHOLE, SHAPE = 480.0, 8.0
Call = Callable[[], object]
SHORT = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
OURS = "ours"


def device(interpreted: bool = False) -> torch.device:
    """The device to measure on; InputError in one sentence where there is none. `interpreted`: tests may go without."""
    if interpreted:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise InputError("bench --device cuda: there is no CUDA device here; run it where there is one")
    reason = triton.why_not(torch.device("cuda"))
    if reason is not None:
        raise InputError(f"bench --device cuda: our kernels cannot run, for {reason}")
    return torch.device("cuda")


def waiting(call: Call, on: torch.device) -> Call:
    """The call and the wait for the device: what a training step sees."""
    if on.type != "cuda":
        return call

    def whole() -> object:
        found = call()
        torch.cuda.synchronize()
        return found

    return whole


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """TensorFloat-32 in products and in cuDNN, on or off; off where nobody asked for it."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def with_tf32(call: Call, allowed: bool) -> Call:
    """The call with TensorFloat-32 on or off."""

    def whole() -> object:
        with tf32(allowed):
            return call()

    return whole


def measure(
    group: str, case: str, ours: Call, peers: Mapping[str, Call], on: torch.device, engine: str, seconds: float = SHAPE
) -> list[Row]:
    """One row a peer, from rounds in which all run turn about."""
    calls = {OURS: waiting(ours, on), **{name: waiting(call, on) for name, call in peers.items()}}
    samples = turn_about(calls, seconds)
    mine = samples.pop(OURS)
    rows = []
    for name, times in samples.items():
        ratios = [t / o for t, o in zip(times, mine, strict=True)]
        rows.append(
            Row(
                group=group,
                case=case,
                ours_ms=round(median(mine) * 1e3, 4),
                peer=name,
                peer_ms=round(median(times) * 1e3, 4),
                ratio=round(median(ratios), 3),
                spread=round(spread(ratios), 3),
                engine=engine,
                threads=1,
                peak_share=None,
            )
        )
    return rows


def run(
    shapes: Sequence[Any],
    verify: Callable[[Any, torch.device], None],
    one: Callable[[Any, torch.device], list[Row]],
    on: torch.device,
    say: Callable[[str], None],
) -> Result:
    """Parity of every shape, then the times of all for which there is time."""
    begin = time.perf_counter()
    say(f"parity: {len(shapes)} shapes against the float64 reference")
    for shape in shapes:
        verify(shape, on)
        say(f"the same: {shape.name}")
    rows: list[Row] = []
    left_out = 0
    for shape in shapes:
        if time.perf_counter() - begin > WHOLE:
            left_out += 1
            continue
        say(f"timing {shape.name}")
        rows += one(shape, on)
    if left_out:
        say(f"left out for want of time: {left_out} of {len(shapes)} shapes")
    about = {**machine.describe(), "left_out": left_out, "seconds": round(time.perf_counter() - begin)}
    if on.type == "cuda":
        about |= {"gpu": torch.cuda.get_device_name(on), "cuda": torch.version.cuda}
        about |= {"cudnn": torch.backends.cudnn.version()}
    return Result(about, tuple(rows))
