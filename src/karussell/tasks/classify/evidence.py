"""Where in time the evidence lies: integrated gradients (Sundararajan, Taly and Yan 2017).

With x the inputs of a sequence, x' = 0 (for measurements the mean of training) and F the log-probability of a label,

    A_t = sum_i (x_ti - x'_ti) * integral over a in [0, 1] of dF(x' + a (x - x')) / dx_ti

and the sum of A_t over time is F(x) - F(x'): nothing is lost and nothing invented. A network decides early on the way
from x' to x, so the integral runs over a = u^2, at the midpoints of equal parts of u.
"""

import torch
from torch import Tensor

from karussell.tasks.classify.network import Member, Members
from karussell.tasks.sequences.batches import Batch

PARTS = 32


def evidence(network: Members, batch: Batch, labels: Tensor, temperature: float, parts: int = PARTS) -> Tensor:
    """A [T, B], what every step says for (or against) the label [B] of each sequence, in nats; zero beyond lengths."""
    network.eval()
    members: list[Member] = list(network.members)  # type: ignore[arg-type]
    with torch.no_grad():
        seen = [member.encoder.look(batch) for member in members]
    total = torch.zeros(seen[0].shape[:2], device=seen[0].device)
    for part in range(parts):
        u = (part + 0.5) / parts
        scaled = [(x * u**2).requires_grad_() for x in seen]
        logits = torch.stack([member.read(x, batch.lengths) for member, x in zip(members, scaled, strict=True)])
        chosen = log_mean(logits, temperature).gather(1, labels[:, None]).sum()
        for x, gradient in zip(seen, torch.autograd.grad(chosen, scaled), strict=True):
            total += (x * gradient).sum(2) * 2 * u / parts
    inside = torch.arange(len(total), device=total.device)[:, None] < batch.lengths
    return torch.where(inside, total, 0)


def log_mean(logits: Tensor, temperature: float) -> Tensor:
    """The log [B, K] of the mean of the members' probabilities, from logits [M, B, K]."""
    return torch.logsumexp((logits / temperature).log_softmax(-1), 0) - torch.log(torch.tensor(float(len(logits))))
