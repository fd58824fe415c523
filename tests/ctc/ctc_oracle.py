"""CTC by its definition: every path there is, for problems small enough."""

from itertools import groupby, product
from typing import NamedTuple

import torch
from torch import Tensor


class Oracle(NamedTuple):
    """For every target [N] that some path becomes: losses, best losses, entropies [N], occupancies [N, T, K]."""

    targets: list[tuple[int, ...]]
    losses: Tensor
    best: Tensor
    entropies: Tensor
    occupancies: Tensor
    best_occupancies: Tensor


def enumerate_paths(log_probs: Tensor, blank: int) -> Oracle:
    """Sort all K^T paths of log-probabilities [T, K] by what they become."""
    frames, classes = log_probs.shape
    paths = torch.tensor(list(product(range(classes), repeat=frames)))
    words = [tuple(k for k, _ in groupby(p) if k != blank) for p in paths.tolist()]
    targets = sorted(set(words), key=lambda w: (len(w), w))
    member = torch.tensor([targets.index(w) for w in words])
    scores = log_probs[torch.arange(frames), paths].sum(1)
    hot = torch.nn.functional.one_hot(paths, classes).to(log_probs.dtype)
    found = []
    for n in range(len(targets)):
        mine = member == n
        s, h = scores[mine], hot[mine]
        share = s.softmax(0)
        found.append(
            (
                -s.logsumexp(0),
                -s.max(),
                torch.special.entr(share).sum(),
                torch.einsum("p,ptk->tk", share, h),
                h[s.argmax()],
            )
        )
    return Oracle(targets, *map(torch.stack, zip(*found, strict=True)))


def random_log_probs(frames: int, batch: int, classes: int, seed: int = 0, scale: float = 2.0) -> Tensor:
    """Log-probabilities [T, B, K] in float64."""
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(frames, batch, classes, generator=generator, dtype=torch.float64)).log_softmax(-1)
