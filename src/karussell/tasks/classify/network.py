"""The network of the classifier: an encoder, its mean and its maximum over time, the labels; several of them.

encoder [T', B, E] -> [mean over time; maximum over time] [B, 2 E] -> linear -> logits [B, K]
"""

import torch
from torch import Tensor, nn

from karussell.tasks.sequences.batches import Batch
from karussell.tasks.sequences.encoder import Encoder, EncoderConfig
from karussell.tasks.sequences.inputs import Inputs


class Member(nn.Module):
    """One network: a batch in, logits [B, K] out."""

    def __init__(self, inputs: Inputs, labels: int, config: EncoderConfig) -> None:
        super().__init__()
        self.encoder = Encoder(inputs, config)
        self.out = nn.Linear(2 * self.encoder.output_size, labels)

    def forward(self, batch: Batch) -> Tensor:
        """What lies beyond a length changes nothing within it, once the model is in evaluation mode."""
        return self.read(self.encoder.look(batch), batch.lengths)

    def read(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Logits from what the encoder looked at, x [T, B, I]."""
        y, lengths = self.encoder.read(x, lengths)
        return self.out(pooled(y, lengths)).float()


class Members(nn.Module):
    """Several networks of one shape with weights of their own: a batch in, logits [M, B, K] out."""

    def __init__(self, inputs: Inputs, labels: int, config: EncoderConfig, count: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(Member(inputs, labels, config) for _ in range(count))

    def forward(self, batch: Batch, fold: Tensor | None = None) -> Tensor:
        """The logits of every member; those of member k for sequences with `fold` [B] = k are left out, and zero."""
        if fold is None:
            return torch.stack([member(batch) for member in self.members])
        found = []
        for k, member in enumerate(self.members):
            chosen = (fold != k).nonzero()[:, 0]
            if len(chosen) == 0:
                chosen = torch.zeros(1, dtype=torch.int64, device=fold.device)
            scores = member(part(batch, chosen))
            found.append(scores.new_zeros(len(fold), scores.shape[1]).index_copy(0, chosen, scores))
        return torch.stack(found)


def part(batch: Batch, chosen: Tensor) -> Batch:
    """Some sequences of a batch, by their places in it."""
    return batch._replace(
        values=batch.values[:, chosen],
        numbers=batch.numbers[:, chosen],
        words=batch.words[:, chosen],
        lengths=batch.lengths[chosen],
        answers=batch.answers[chosen],
        items=batch.items[chosen],
    )


def pooled(y: Tensor, lengths: Tensor) -> Tensor:
    """Mean and maximum [B, 2 E] over the valid steps of y [T, B, E]."""
    inside = (torch.arange(len(y), device=y.device)[:, None] < lengths)[..., None]
    mean = torch.where(inside, y, 0).sum(0) / lengths[:, None]
    return torch.cat([mean, torch.where(inside, y, -torch.inf).amax(0)], 1)
