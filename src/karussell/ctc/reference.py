"""CTC in plain torch over any semiring: the oracle of the kernels, and what serves every order of derivative.

One recursion over frames; what differs is how the paths that meet in a state are joined (Goodman, Computational
Linguistics 25(4), 1999). An element is a tuple of tensors [B, S], its first the logarithm of a weight:

    LOG      w = log(e^w1 + e^w2 + …)                     all paths: the loss
    MAX      w = max(w1, w2, …)                           the best path
    ENTROPY  (w, h): w as LOG, and with shares q_j = e^(w_j - w)
             h = sum of q_j (h_j - log q_j)               and the entropy of the paths' distribution in nats

A step multiplies by an emission: w grows by its logarithm, h stays. Probability 0 is a finite number far below all
others, so that no derivative of any order meets infinity less infinity.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from karussell.ctc.kernel import Task

NEVER = -1e30
Element = tuple[Tensor, ...]


class Semiring(NamedTuple):
    """`one` and `zero` as numbers, component by component, and how elements [J, B, S] are joined over J."""

    one: tuple[float, ...]
    zero: tuple[float, ...]
    join: Callable[[Element], Element]


def _log(values: Element) -> Element:
    return (values[0].logsumexp(0),)


def _max(values: Element) -> Element:
    # max, not amax: of equal paths one alone has the gradient, that which stays where it is
    return (values[0].max(0).values,)


def _entropy(values: Element) -> Element:
    w, h = values
    log_share = w.log_softmax(0)
    return w.logsumexp(0), (log_share.exp() * (h - log_share)).sum(0)


LOG = Semiring((0.0,), (NEVER,), _log)
MAX = Semiring((0.0,), (NEVER,), _max)
ENTROPY = Semiring((0.0, 0.0), (NEVER, 0.0), _entropy)


class Answer(NamedTuple):
    """Row by row [B]: losses, infinite where there is no path, and entropies of the paths if asked for.

    closed: whether some loss is infinite, where that is known.
    """

    losses: Tensor
    entropies: Tensor | None
    closed: bool | None = None


def run(x: Tensor, task: Task, *, entropy: bool = False) -> Answer:
    """The losses of x [T, B, K], and the entropies of the paths if asked for; differentiable in any way torch knows."""
    lp = x.log_softmax(-1) if task.logits else x
    made = total(lp, task, MAX if task.best else ENTROPY if entropy else LOG)
    impossible = made[0] <= NEVER / 2
    losses = torch.where(impossible, torch.inf, -made[0])
    return Answer(losses, torch.where(impossible, 0.0, made[1]) if entropy else None)


def total(lp: Tensor, task: Task, semiring: Semiring) -> Element:
    """Join all paths of log-probabilities [T, B, K] that become the target: one element [B]."""
    frames, batch, _ = lp.shape
    states, skips = _states(task, lp.device)
    lengths, ends = task.input_lengths.to(lp.device), (2 * task.target_lengths).to(lp.device)
    emissions = lp.clamp(min=NEVER).gather(2, states.expand(frames, -1, -1))
    first = torch.arange(states.shape[1], device=lp.device) == 0
    # one frame before the first, all weight is at the first blank and may stay there or go to the first label
    alpha: Element = tuple(
        torch.where(first, one, zero).to(lp.dtype).expand(batch, -1)
        for one, zero in zip(semiring.one, semiring.zero, strict=True)
    )
    for t in range(frames):
        joined = semiring.join(tuple(_arriving(a, z, skips) for a, z in zip(alpha, semiring.zero, strict=True)))
        # several zeros multiplied stay above what the dtype can hold
        new = ((joined[0] + emissions[t]).clamp(min=NEVER), *joined[1:])
        alpha = tuple(torch.where((t < lengths)[:, None], n, a) for n, a in zip(new, alpha, strict=True))
    last, before = ends[:, None], (ends - 1).clamp(min=0)[:, None]
    ends_there = (ends > 0)[:, None]
    pair = tuple(
        torch.stack([a.gather(1, last), torch.where(ends_there, a.gather(1, before), z)])
        for a, z in zip(alpha, semiring.zero, strict=True)
    )
    return tuple(v[:, 0] for v in semiring.join(pair))


def _states(task: Task, device: torch.device) -> tuple[Tensor, Tensor]:
    """The class of each state [B, 2 W + 1], blanks between labels, and which states are reached from two before."""
    batch, width = len(task.target_lengths), task.width
    inside = torch.arange(width) < task.target_lengths[:, None]
    states = torch.full((batch, 2 * width + 1), task.blank, dtype=torch.int64)
    states[:, 1::2][inside] = task.concatenated()
    skips = torch.zeros_like(states, dtype=torch.bool)
    skips[:, 2:] = (states[:, 2:] != task.blank) & (states[:, 2:] != states[:, :-2])
    return states.to(device), skips.to(device)


def _arriving(a: Tensor, zero: float, skips: Tensor) -> Tensor:
    """What comes to each state [B, S] from itself, from the one before and from two before: [3, B, S]."""
    before = torch.nn.functional.pad(a, (1, 0), value=zero)[:, :-1]
    two = torch.nn.functional.pad(a, (2, 0), value=zero)[:, :-2]
    return torch.stack([a, before, torch.where(skips, two, zero)])
