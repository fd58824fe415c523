"""Training sequences in parts, so that every one is judged by a network that never saw it."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from karussell.data.labelled import Example
from karussell.tasks.sequences.batches import Batch, Loader


def part_of(train: Sequence[Example], parts: int) -> Tensor:
    """The part [N] each sequence belongs to: those of one label go to the parts in turn; -1 everywhere without parts.

    A pure function of the ids and labels.
    """
    found = torch.full((len(train),), -1)
    turn: dict[str, int] = {}
    order = sorted(range(len(train)), key=lambda k: hashlib.sha256(train[k].id.encode()).digest())
    for place, k in enumerate(order):
        label = str(train[k].label)
        if parts:
            # labels begin at different parts, so that the parts are of one size
            found[k] = turn.setdefault(label, place) % parts
            turn[label] += 1
    return found


def judged(loader: Loader, part: Tensor, parts: int) -> list[tuple[int, Batch]]:
    """Batches of all sequences of a loader as they are, each with the number of its part; 0 without parts.

    `items` of a batch are places in the loader's list.
    """
    if not parts:
        return [(0, batch) for batch in loader.in_order()]
    found = []
    for k in range(parts):
        chosen = (part == k).nonzero()[:, 0]
        if len(chosen):
            examples = [loader.examples[item] for item in chosen.tolist()]
            answers = [loader.answers[item] for item in chosen.tolist()]
            rows = replace(loader, examples=examples, answers=answers).in_order()
            found += [(k, batch._replace(items=chosen[batch.items])) for batch in rows]
    return found
