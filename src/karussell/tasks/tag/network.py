"""The network of the tagger: an encoder, a score for every label at every step, a random field over them.

encoder [T, B, E] -> linear -> emissions [T, B, K] -> linear-chain CRF (Huang, Xu and Yu 2015; Lample et al. 2016)
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from karussell.nn.crf import CRF
from karussell.tasks.sequences.batches import Batch
from karussell.tasks.sequences.encoder import Encoder, EncoderConfig
from karussell.tasks.sequences.inputs import Inputs


class Network(nn.Module):
    """A batch in, emissions [T, B, K] out; `crf` makes label sequences and probabilities of them."""

    def __init__(self, inputs: Inputs, labels: int, config: EncoderConfig) -> None:
        super().__init__()
        self.encoder = Encoder(inputs, config)
        self.out = nn.Linear(self.encoder.output_size, labels)
        self.crf = CRF(labels)

    def forward(self, batch: Batch) -> Tensor:
        """What lies beyond a length changes nothing within it, once the model is in evaluation mode."""
        y, _ = self.encoder(batch)
        # in mixed precision the outputs are halves, whose sums over label sequences would be coarse
        return self.out(y).float()


def legal(labels: Sequence[str], answers: Sequence[Sequence[str]]) -> Tensor:
    """The transitions [K + 1, K + 1] that B- and I- labels allow, if all training sequences keep to them; else all.

    I-X goes on with what B-X or I-X began; it can neither begin a sequence nor follow anything else.
    """
    count = len(labels)
    allowed = torch.ones(count + 1, count + 1, dtype=torch.bool)
    for k, label in enumerate(labels):
        if label.startswith("I-"):
            allowed[:, k] = torch.tensor([one[:2] in ("B-", "I-") and one[2:] == label[2:] for one in labels] + [False])
    places = {label: k for k, label in enumerate(labels)}
    for answer in answers:
        path = [count, *(places[label] for label in answer)]
        if not bool(allowed[path[:-1], path[1:]].all()):
            return torch.ones_like(allowed)
    return allowed
