"""`karussell bench ctc --device cuda`: the loss, forward and backward, beside torch's on the same device."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from karussell.bench import cuda
from karussell.bench.ctc_loss import LossProblem
from karussell.bench.cuda import Call
from karussell.bench.parity import ParityError
from karussell.bench.result import Result, Row
from karussell.ctc import ctc_loss
from karussell.files import write_atomic

PROBLEMS = (
    LossProblem(150, 16, 40, 28),
    LossProblem(150, 64, 40, 28),
    LossProblem(1000, 32, 150, 32),
    LossProblem(150, 16, 20, 5000),
    LossProblem(150, 64, 40, 28, "logits"),
    LossProblem(150, 16, 20, 5000, "logits"),
)
# relative: sums of logarithms in float32
TOLERANCE = 1e-4


def _ours(problem: LossProblem, x: Tensor, engine: str) -> Tensor:
    return ctc_loss(x, *problem.rest(), reduction="none", given=problem.given, engine=engine)  # type: ignore[arg-type]


def _torchs(problem: LossProblem, x: Tensor) -> Tensor:
    lp = x.log_softmax(-1) if problem.given == "logits" else x
    targets, frames, lengths = problem.rest()
    return functional.ctc_loss(lp, targets.to(x.device), frames, lengths, reduction="none")


def verify(problem: LossProblem, on: torch.device) -> None:
    """Loss and gradient against the float64 reference; ParityError names what differs."""
    small = LossProblem(problem.frames, min(problem.batch, 4), problem.labels, problem.classes, problem.given)
    found = []
    for dtype, engine in ((torch.float32, "triton"), (torch.float64, "reference")):
        x = small.x().to(on, dtype).requires_grad_()
        losses = _ours(small, x, engine)
        found.append([losses, torch.autograd.grad(losses.sum(), x)[0]])
    for name, ours, truth in zip(("loss", "gradient"), *found, strict=True):
        ours, truth = ours.detach(), truth.detach()
        error = float((ours.double() - truth).abs().max() / truth.abs().max().clamp(min=1.0))
        if not error <= TOLERANCE:
            raise ParityError(f"the CTC loss, {problem.name}: the {name} is off by {error:.1e}")


def _job(loss: Callable[[Tensor], Tensor], problem: LossProblem, on: torch.device) -> Call:
    x = problem.x().to(on).requires_grad_()

    def train() -> object:
        return torch.autograd.grad(loss(x).sum(), x)[0]

    return train


def one(problem: LossProblem, on: torch.device) -> list[Row]:
    """The rows of a problem."""
    ours = _job(partial(_ours, problem, engine="triton"), problem, on)
    peers = {"torch ctc_loss": _job(partial(_torchs, problem), problem, on)}
    case = f"{problem.name} {problem.given}"
    return cuda.measure("ctc-loss", case, ours, peers, on, "triton", cuda.SHAPE / 2)


def run_cuda_ctc(
    json: Path | str | None = None,
    *,
    chosen: Sequence[LossProblem] = PROBLEMS,
    interpreted: bool = False,
    say: Callable[[str], None] = print,
) -> Result:
    """As `run_cuda_layers`, for the CTC loss."""
    result = cuda.run(chosen, verify, one, cuda.device(interpreted), say)
    if json is not None:
        write_atomic(json, result.to_json())
    return result
