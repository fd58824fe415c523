"""What training keeps: the most memory that a step takes beyond its inputs, outputs, their gradients and the weights.

Each measurement is a process of its own, whose resident memory is watched from the kernel's own peak counter.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from karussell.bench.machine import describe
from karussell.bench.result import Result, Row
from karussell.cells import LSTM
from karussell.files import write_atomic
from karussell.nn import Recurrent
from karussell.ops import Engine

STEPS, BATCH, HIDDEN = 10_000, 8, 128
KINDS = ("none", "gates", "segments")
_UNITS = 1024 if sys.platform != "darwin" else 1


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNITS


def measure(recompute: str, steps: int = STEPS) -> tuple[float, float]:
    """Megabytes beyond inputs, outputs, gradients and weights; a sum over all gradients, to compare kinds by."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layer = Recurrent(LSTM, HIDDEN, HIDDEN, engine=Engine.cpp, recompute=recompute)  # type: ignore[arg-type]
    # what is loaded and compiled once is not what a sequence keeps
    layer(torch.randn(64, BATCH, HIDDEN, requires_grad=True))[0].sum().backward()
    layer.zero_grad()
    x = torch.randn(steps, BATCH, HIDDEN, requires_grad=True)
    upstream = torch.randn(steps, BATCH, HIDDEN)
    before = _peak()
    y, _ = layer(x)
    y.backward(upstream)
    # y and the gradient of x came to be since; x and the gradient of y were there before
    beyond = _peak() - before - 2 * x.numel() * x.element_size()
    total = sum(float(p.grad.double().abs().sum()) for p in [x, *layer.parameters()] if p.grad is not None)
    return beyond / 1e6, total


def run_memory(json_file: Path | None = None, steps: int = STEPS, say: Callable[[str], None] | None = None) -> Result:
    """A row a kind, in megabytes instead of milliseconds: ours against keeping everything."""
    if say is not None:
        say("megabytes stand where other benches have milliseconds")
    found = {}
    for kind in KINDS:
        code = f"from karussell.bench.memory import measure; import json; print(json.dumps(measure({kind!r}, {steps})))"
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        found[kind] = json.loads(run.stdout.splitlines()[-1])
    whole, total = found["none"]
    rows = []
    for kind, (megabytes, other) in found.items():
        if abs(other - total) > 1e-3 * abs(total):
            raise AssertionError(f"bench memory: the gradients with recompute={kind!r} are not those with 'none'")
        case = f"recompute={kind} T{steps} B{BATCH} H{HIDDEN}"
        rows.append(Row("memory-mb", case, megabytes, "recompute=none", whole, whole / megabytes, 0.0, "cpp", 1, None))
    result = Result(describe(), tuple(rows))
    if json_file is not None:
        write_atomic(json_file, result.to_json())
    return result
