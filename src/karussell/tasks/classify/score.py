"""The scores of a classifier, each beside the floor on the same sequences."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from karussell.tasks.classify.calibration import calibration_error
from karussell.tasks.classify.floor import Floor
from karussell.tasks.task import Score


def measure(
    truth: Sequence[str], rows: Tensor, labels: Sequence[str], floor: Floor, under: Sequence[str]
) -> dict[str, Any]:
    """JSON values of probabilities [N, K] for sequences with known labels; `under` is what the floor says of them.

    A sequence whose label training never saw counts as wrong, and `unknown_labels` counts them.
    """
    said = [labels[k] for k in rows.argmax(1).tolist()]
    right = sum(a == b for a, b in zip(said, truth, strict=True))
    low, high = share_interval(right, len(truth))
    accuracy = Score("accuracy", right / len(truth), _share(under, truth), floor.name, True, True, low, high)
    recall = Score("mean recall", mean_recall(said, truth), mean_recall(under, truth), floor.name, True, True)
    answers = torch.tensor([labels.index(label) if label in labels else -1 for label in truth])
    return {
        "scores": [accuracy.to_json(), recall.to_json()],
        "calibration_error": calibration_error(rows, answers),
        "majority": sum(label == floor.majority for label in truth) / len(truth),
        "sequences": len(truth),
        "unknown_labels": int((answers < 0).sum()),
    }


def mean_recall(said: Sequence[str], truth: Sequence[str]) -> float:
    """The share of right answers of each label, averaged over the labels that occur."""
    pairs = list(zip(said, truth, strict=True))
    rates = [sum(a == b for a, b in pairs if b == label) / truth.count(label) for label in sorted(set(truth))]
    return sum(rates) / len(rates)


def share_interval(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    z, p = 1.96, right / count
    centre = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * (p * (1 - p) / count + z * z / (4 * count * count)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def _share(said: Sequence[str], truth: Sequence[str]) -> float:
    return sum(a == b for a, b in zip(said, truth, strict=True)) / len(truth)
