"""The cases of the CTC loss: forward and backward against torch.nn.functional.ctc_loss, from the same numbers.

    loss                   T = 150, 40 labels, 28 classes: letters
    loss-large-vocabulary  T = 150, 20 labels, 5,000 classes: pieces of words
    loss-from-logits       both with the softmax, ours inside the loss
    loss-threads           ours with all cores against ours with one thread

The gradient is with respect to log-probabilities, or logits, in float32.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from karussell.bench.ctc_case import Call, Case, Peer, Sides
from karussell.bench.machine import threads
from karussell.bench.parity import ParityError, compare
from karussell.ctc import ctc_loss

# torch's float32 losses are sums of logarithms: this tells another loss apart, no more
SAME = 1e-3
Given = Literal["log_probs", "logits"]


@dataclass(frozen=True)
class LossProblem:
    """A batch of full length: T frames, B rows, L labels each, K classes."""

    frames: int
    batch: int
    labels: int
    classes: int
    given: Given = "log_probs"

    @property
    def name(self) -> str:
        """The case in words."""
        return f"T{self.frames} B{self.batch} L{self.labels} K{self.classes}"

    def x(self) -> Tensor:
        """Log-probabilities or logits [T, B, K]."""
        generator = torch.Generator().manual_seed(1)
        z = 2 * torch.randn(self.frames, self.batch, self.classes, generator=generator)
        return z if self.given == "logits" else z.log_softmax(-1)

    def rest(self) -> tuple[Tensor, Tensor, Tensor]:
        """Targets [B, L], and the lengths of input and target [B]."""
        generator = torch.Generator().manual_seed(2)
        targets = torch.randint(1, self.classes, (self.batch, self.labels), generator=generator)
        return targets, torch.full((self.batch,), self.frames), torch.full((self.batch,), self.labels)


def ours(problem: LossProblem, x: Tensor, engine: Literal["cpp", "reference"] = "cpp") -> Tensor:
    """Our losses [B], on a forced engine."""
    return ctc_loss(x, *problem.rest(), reduction="none", given=problem.given, engine=engine)


def torchs(problem: LossProblem, x: Tensor) -> Tensor:
    """Torch's losses [B]."""
    lp = x.log_softmax(-1) if problem.given == "logits" else x
    return functional.ctc_loss(lp, *problem.rest(), reduction="none")


def _job(loss: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor], problem: LossProblem) -> Call:
    """Forward and backward of the summed loss."""
    x, rest = problem.x().requires_grad_(), problem.rest()

    def train() -> Tensor:
        return torch.autograd.grad(loss(x, *rest), x)[0]

    return train


def _ours(problem: LossProblem) -> Call:
    return _job(
        lambda x, targets, frames, lengths: ctc_loss(
            x, targets, frames, lengths, reduction="sum", given=problem.given, engine="cpp"
        ),
        problem,
    )


def _torchs(problem: LossProblem) -> Call:
    loss = partial(functional.ctc_loss, reduction="sum")
    if problem.given == "logits":
        return _job(lambda x, *rest: loss(x.log_softmax(-1), *rest), problem)
    return _job(loss, problem)


def verify(problem: LossProblem) -> None:
    """Our float32 loss and gradient against the float64 reference, and torch's loss against it, too."""
    small = LossProblem(problem.frames, min(problem.batch, 4), problem.labels, problem.classes, problem.given)
    x = small.x().requires_grad_()
    losses = ours(small, x)
    y = small.x().double().requires_grad_()
    truth = ours(small, y, "reference")
    where = f"the CTC loss, {small.name}"
    compare(where, "loss", losses, truth)
    compare(where, "gradient", *(torch.autograd.grad(v.sum(), w)[0] for v, w in ((losses, x), (truth, y))))
    if not torch.allclose(torchs(small, x.detach()).double(), truth.detach(), rtol=SAME):
        raise ParityError(f"{where}: ours and torch's do not compute the same")


def sides(problem: LossProblem, count: int) -> Sides:
    """Ours and torch's; with several threads also ours with one."""
    found = [Peer("torch ctc_loss", _torchs(problem))]
    mine = _ours(problem)
    if count > 1:

        def alone() -> object:
            with threads(1):
                return mine()

        found.append(Peer("ours, 1 thread", alone, "loss-threads"))
    return Sides(mine, tuple(found))


def _cases(group: str, problems: list[LossProblem]) -> Iterator[Case]:
    for problem in problems:
        yield Case(group, problem.name, partial(sides, problem), partial(verify, problem))


def _loss(quick: bool) -> Iterator[Case]:
    return _cases("loss", [LossProblem(150, b, 40, 28) for b in ((1, 16) if quick else (1, 16, 64))])


def _large(quick: bool) -> Iterator[Case]:
    return _cases("loss-large-vocabulary", [LossProblem(150, b, 20, 5000) for b in ((4,) if quick else (1, 4, 16))])


def _logits(quick: bool) -> Iterator[Case]:
    problems = [LossProblem(150, b, 40, 28, "logits") for b in ((16,) if quick else (1, 16, 64))]
    if not quick:
        problems.append(LossProblem(150, 16, 20, 5000, "logits"))
    return _cases("loss-from-logits", problems)


GROUPS: dict[str, Callable[[bool], Iterator[Case]]] = {
    "loss": _loss,
    "loss-large-vocabulary": _large,
    "loss-from-logits": _logits,
}
