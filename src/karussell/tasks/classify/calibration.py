"""Probabilities that mean what they say: one temperature, found on sequences not trained on (Guo et al. 2017)."""

import torch
from torch import Tensor
from torch.nn import functional

# bins of the calibration error and of its plot
BINS = 10


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The T > 0 that makes softmax(logits / T) most likely for labels [N] not trained on; logits [N, K].

    The negative log-likelihood is searched over ln T in [-1, 3], first on a grid, then finer around its best point. The
    lower end keeps few sequences, all of them right, from making the answers certain.
    """
    low, high = -1.0, 3.0
    logits = logits.double()
    for _ in range(4):
        grid = torch.linspace(low, high, 25, dtype=torch.float64)
        losses = [float(functional.cross_entropy(logits / float(g.exp()), labels)) for g in grid]
        best = min(range(len(losses)), key=losses.__getitem__)
        low, high = float(grid[max(0, best - 1)]), float(grid[min(len(grid) - 1, best + 1)])
    return float(torch.tensor((low + high) / 2).exp())


def calibration_error(probabilities: Tensor, labels: Tensor) -> float:
    """The expected calibration error: |accuracy - mean confidence| of ten equal bins of confidence, by their sizes."""
    rows = reliability(probabilities, labels)
    total = sum(count for _, _, count in rows)
    return sum(abs(right - sure) * count for sure, right, count in rows) / total


def reliability(probabilities: Tensor, labels: Tensor) -> list[tuple[float, float, int]]:
    """(mean confidence, accuracy, count) of every bin of confidence that has sequences."""
    sure, said = probabilities.max(1)
    right = (said == labels).double()
    bins = (sure * BINS).long().clamp(max=BINS - 1)
    rows = []
    for k in range(BINS):
        chosen = bins == k
        if chosen.any():
            rows.append((float(sure[chosen].double().mean()), float(right[chosen].mean()), int(chosen.sum())))
    return rows
