"""Sequences to vectors step by step: token vectors and letters beside measurements, convolutions, a bidirectional LSTM.

    tokens [T, B, N] -> vectors; the first column's letters -> a bidirectional LSTM over each spelling
    beside measurements [T, B, D] -> x [T, B, I]                                        `look`
    x -> convolutions over time, several widths at once, batch norm, ReLU; max-pooling halves time in between
      -> LSTM layers, both directions -> [what the convolutions say; what the LSTM says]   `read`

The convolutions beside the LSTM are those of LSTM-FCN (Karim et al. 2018), their several widths those of InceptionTime
(Ismail Fawaz et al. 2020).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from karussell.errors import InputError
from karussell.nn import LSTM
from karussell.nn.characters import Characters
from karussell.tasks.sequences.batches import Batch
from karussell.tasks.sequences.inputs import Inputs


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of the encoder."""

    words: int = 100
    """Width of the vector of a word."""
    columns: int = 25
    """Width of the vector of a token of another column."""
    letters: int = 25
    """Units of the LSTM over a spelling, each direction; 0 leaves spellings out."""
    channels: tuple[int, ...] = ()
    """Channels of the convolutions; an empty list leaves them out."""
    widths: tuple[int, ...] = (9,)
    """Steps that a convolution sees; several share its channels."""
    halvings: int | None = 0
    """How often time is halved between convolutions; none: until training sequences have 50 steps or fewer."""
    hidden: int = 100
    """Units of each LSTM layer and direction."""
    layers: int = 1
    """LSTM layers."""
    dropout: float = 0.5
    """Share of inputs and outputs of the LSTM that are dropped while training."""

    def __post_init__(self) -> None:
        for name in ("channels", "widths"):
            # lists come from JSON and YAML
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if any(value < 1 for value in (*self.channels, *self.widths)) or not self.widths:
            raise InputError(f"network: channels is {self.channels} and widths {self.widths}; each must be 1 or larger")
        if self.hidden < 1 or self.layers < 1 or self.words < 1 or self.columns < 1:
            raise InputError("network: hidden, layers, words and columns must be 1 or larger")
        if self.letters < 0 or (self.halvings or 0) < 0:
            raise InputError("network: letters and halvings must be 0 (none) or larger")
        if not 0 <= self.dropout < 1:
            raise InputError(f"network.dropout is {self.dropout}; it must be 0 or larger and below 1")


def counts_of(config: EncoderConfig) -> dict[str, int]:
    """The sizes that a configuration asks for, by name."""
    names = ("words", "columns", "letters", "hidden", "layers")
    wide = {"channels": len(config.channels), "widest": max((*config.channels, *config.widths))}
    return {name: getattr(config, name) for name in names} | wide


class Encoder(nn.Module):
    """A batch in; vectors [T', B, output_size] and lengths [B] out, T' = T halved `halvings` times."""

    def __init__(self, inputs: Inputs, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.words, *[config.columns] * (len(inputs.columns) - 1)][: len(inputs.columns)]
        self.vectors = nn.ModuleList(
            nn.Embedding(column.size, width) for column, width in zip(inputs.columns, widths, strict=True)
        )
        spelled = bool(inputs.columns and config.letters)
        self.letters = Characters(inputs.letters.size, config.letters, config.letters) if spelled else None
        size = inputs.size + sum(widths) + (self.letters.output_size if self.letters is not None else 0)
        self.dropout = nn.Dropout(config.dropout)
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        for channels in config.channels:
            self.convolutions.append(Convolution(size, channels, config.widths))
            self.norms.append(nn.BatchNorm1d(channels))
            size = channels
        between = config.dropout if config.layers > 1 else 0.0
        self.lstm = LSTM(size, config.hidden, config.layers, bidirectional=True, dropout=between)
        self.output_size = 2 * config.hidden + (size if config.channels else 0)
        self._fill()

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What lies beyond a length changes nothing within it, once the model is in evaluation mode."""
        return self.read(self.look(batch), batch.lengths)

    def look(self, batch: Batch) -> Tensor:
        """x [T, B, I], the inputs of a batch side by side."""
        parts = [batch.values] if batch.values.shape[2] else []
        parts += [vectors(batch.numbers[..., k]) for k, vectors in enumerate(self.vectors)]
        if self.letters is not None:
            spelled = self.letters(batch.spellings, batch.spelling_lengths)
            parts.append(functional.embedding(batch.words, spelled))
        return torch.cat(parts, 2)

    def read(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """From x [T, B, I] on."""
        if len(self.vectors):
            x = self.dropout(x)
        for k, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = silenced(x, lengths)
            seen = functional.relu(norm(convolution(x.permute(1, 2, 0)))).permute(2, 0, 1)
            x = seen + x if seen.shape == x.shape else seen
            if k < (self.config.halvings or 0):
                x, lengths = halved(silenced(x, lengths)), (lengths + 1) // 2
        y, _ = self.lstm(self.dropout(x) if len(self.convolutions) else x, lengths=lengths)
        return self.dropout(torch.cat([x, y], 2) if len(self.convolutions) else y), lengths

    @torch.no_grad()
    def _fill(self) -> None:
        # orthogonal recurrent and Glorot input matrices, gate by gate; a forget gate that is open at first
        # (Gers et al. 2000); token vectors as large as what they stand beside
        lstms = [self.lstm, *([self.letters.lstm] if self.letters is not None else [])]
        for name, weight in [pair for lstm in lstms for pair in lstm.named_parameters()]:
            if name.startswith("weight"):
                fill = nn.init.orthogonal_ if name.startswith("weight_hh") else nn.init.xavier_uniform_
                for gate in weight.chunk(4):
                    fill(gate)
            else:
                weight.zero_()
                if name.startswith("bias_ih"):
                    weight.chunk(4)[1].fill_(1.0)
        for vectors in self.vectors:
            nn.init.normal_(vectors.weight, std=0.3)  # type: ignore[arg-type]


class Convolution(nn.Module):
    """Convolutions of several widths over time, [B, C, T] to [B, channels, T], their outputs side by side."""

    def __init__(self, size: int, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        shares = [channels // len(widths) + (k < channels % len(widths)) for k in range(len(widths))]
        self.parts = nn.ModuleList(
            nn.Conv1d(size, share, width, padding="same", bias=False)
            for width, share in zip(widths, shares, strict=True)
            if share
        )
        for part in self.parts:
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Beyond the edges there are zeros."""
        return torch.cat([part(x) for part in self.parts], 1)


def silenced(x: Tensor, lengths: Tensor) -> Tensor:
    """x [T, B, C] with zeros beyond each length."""
    if int(lengths.min()) == len(x):
        return x
    inside = torch.arange(len(x), device=x.device)[:, None] < lengths
    return torch.where(inside[..., None], x, 0)


def halved(x: Tensor) -> Tensor:
    """The larger of each two neighbours in time, [T, B, C] to [ceil(T / 2), B, C]."""
    return functional.max_pool1d(x.permute(1, 2, 0), 2, ceil_mode=True).permute(2, 0, 1)
