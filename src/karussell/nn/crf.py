"""A linear-chain conditional random field: scores of whole label sequences, their sum, and the best of them.

Lafferty, McCallum and Pereira 2001. With emissions e [T, B, K] and learned transitions A [K, K], begin b [K] and
end d [K], the score of labels y_1..y_T is

    s(y) = b[y_1] + sum_t e_t[y_t] + sum_t A[y_t, y_t+1] + d[y_T]          A[from, to]

and its probability exp(s(y)) / Z, where Z sums over all K^T sequences. With a_1 = b + e_1 and
a_t[k] = e_t[k] + logsumexp_j(a_t-1[j] + A[j, k]), log Z = logsumexp_k(a_T[k] + d[k]). With the maximum in place of the
sum the same recurrence finds the best sequence (Viterbi 1967). The derivative of log Z by e_t[k] is the probability
that step t has label k.
"""

import torch
from torch import Tensor, nn

# what is below it is no sum of exponentials that float64 can hold
LEAST = 1e-300


class CRF(nn.Module):
    """Transitions between `labels` labels, learned; all of them allowed unless `forbid` was called."""

    allowed: Tensor
    """[K + 1, K + 1] booleans, from and to; the last row is the beginning, the last column the end."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        if labels < 1:
            raise ValueError(f"CRF: labels is {labels}; it must be 1 or larger")
        self.transitions = nn.Parameter(torch.zeros(labels, labels))
        self.begin = nn.Parameter(torch.zeros(labels))
        self.end = nn.Parameter(torch.zeros(labels))
        self.register_buffer("allowed", torch.ones(labels + 1, labels + 1, dtype=torch.bool))

    def forward(self, emissions: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        """The negative log-probability [B] of labels [T, B]; what stands beyond a length is never looked at."""
        lengths = _lengths(emissions, lengths)
        return log_partition(emissions, lengths, *self.scores()) - self.score(emissions, labels, lengths)

    def scores(self) -> tuple[Tensor, Tensor, Tensor]:
        """Transitions, begin and end, with -10000 where a transition is not allowed."""
        free = self.allowed
        return (
            self.transitions.masked_fill(~free[:-1, :-1], -1e4),
            self.begin.masked_fill(~free[-1, :-1], -1e4),
            self.end.masked_fill(~free[:-1, -1], -1e4),
        )

    def score(self, emissions: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        """s(y) of labels [T, B], [B]."""
        transitions, begin, end = self.scores()
        inside = torch.arange(len(emissions), device=emissions.device)[:, None] < lengths
        y = torch.where(inside, labels, 0)
        total = (emissions.gather(2, y[..., None])[..., 0] * inside).sum(0)
        total = total + (transitions[y[:-1], y[1:]] * inside[1:]).sum(0)
        last = y.gather(0, lengths[None] - 1)[0]
        return total + begin[y[0]] + end[last]

    def decode(self, emissions: Tensor, lengths: Tensor) -> list[list[int]]:
        """The best labels of every row, and as many of them as its length says."""
        return viterbi(emissions, _lengths(emissions, lengths), *self.scores())

    def marginals(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """The probability [T, B, K] that a step has a label; zero beyond a length."""
        with torch.enable_grad():
            e = emissions.detach().requires_grad_()
            transitions = [part.detach() for part in self.scores()]
            total = log_partition(e, _lengths(e, lengths), *transitions).sum()
            return torch.autograd.grad(total, e)[0]

    @torch.no_grad()
    def forbid(self, allowed: Tensor) -> None:
        """Allow only these transitions, [K + 1, K + 1] booleans with the beginning and the end last."""
        if allowed.shape != self.allowed.shape or allowed.dtype != torch.bool:
            raise ValueError(
                f"CRF.forbid: allowed is {list(allowed.shape)} {allowed.dtype}; "
                f"it must be {list(self.allowed.shape)} booleans"
            )
        self.allowed.copy_(allowed)


def log_partition(e: Tensor, lengths: Tensor, transitions: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """log Z [B] of emissions [T, B, K].

    The sum over the label before is a matrix product of exponentials relative to the largest. In float64, whatever the
    input's type, that holds for scores up to 700 nats apart at one step.
    """
    kept, e, weights = e.dtype, e.double(), transitions.double().exp()
    alpha = begin.double() + e[0]
    inside = torch.arange(len(e), device=e.device)[:, None] < lengths
    for t in range(1, len(e)):
        top = alpha.detach().amax(1, keepdim=True)
        onward = e[t] + top + torch.log(((alpha - top).exp() @ weights).clamp(min=LEAST))
        alpha = torch.where(inside[t, :, None], onward, alpha)
    return torch.logsumexp(alpha + end.double(), 1).to(kept)


@torch.no_grad()
def viterbi(e: Tensor, lengths: Tensor, transitions: Tensor, begin: Tensor, end: Tensor) -> list[list[int]]:
    """The labels of the highest score, a list for each row; among equals the ones with the lower numbers."""
    best, pointers = begin + e[0], []
    own = torch.arange(e.shape[2], device=e.device).expand(e.shape[1:])
    for t in range(1, len(e)):
        onward, back = (best[:, :, None] + transitions).max(1)
        going = (t < lengths)[:, None]
        best = torch.where(going, onward + e[t], best)
        # a row that has ended points to itself
        pointers.append(torch.where(going, back, own))
    label = (best + end).argmax(1)
    path = [label]
    for back in reversed(pointers):
        label = back.gather(1, label[:, None])[:, 0]
        path.append(label)
    rows = torch.stack(path[::-1], 1).tolist()
    return [row[:n] for row, n in zip(rows, lengths.tolist(), strict=True)]


def _lengths(e: Tensor, lengths: Tensor) -> Tensor:
    if e.dim() != 3:
        raise ValueError(f"CRF: emissions is {list(e.shape)}; it must be [T, B, K]")
    found = torch.as_tensor(lengths, device=e.device)
    if found.shape != (e.shape[1],) or not bool(((found >= 1) & (found <= len(e))).all()):
        raise ValueError(f"CRF: lengths is {found.tolist()}; it must be {e.shape[1]} numbers from 1 to T = {len(e)}")
    return found
