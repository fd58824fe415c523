"""Words from their letters: a bidirectional LSTM over the spelling (Lample et al. 2016)."""

import torch
from torch import Tensor, nn

from karussell.nn.lstm import LSTM


class Characters(nn.Module):
    """Spellings [L, U] of letter numbers and lengths [U] in, vectors [U, 2 * hidden] out.

    v = [h_forward(last letter); h_backward(first letter)] of an LSTM over learned letter vectors.
    """

    def __init__(self, letters: int, size: int, hidden: int) -> None:
        super().__init__()
        self.letters = nn.Embedding(letters, size)
        self.lstm = LSTM(size, hidden, bidirectional=True)
        self.output_size = 2 * hidden

    def forward(self, spellings: Tensor, lengths: Tensor) -> Tensor:
        """What lies beyond a length changes nothing."""
        _, (h, _) = self.lstm(self.letters(spellings), lengths=lengths)
        return torch.cat([h[0], h[1]], 1)
