"""The network of the transcriber: convolutions that thin out time, bidirectional LSTM layers, label posteriors.

    [T, B, F] -> conv 3x3, batch norm, ReLU, each with its strides in time and frequency -> [T', B, channels * F']
              -> linear, layer norm, ReLU -> x + ReLU(layer norm(convolution over time))
              -> LSTM layers, both directions -> linear -> log_softmax [T', B, K]

Graves and Schmidhuber 2005 (bidirectional LSTM), Graves et al. 2006 (its outputs under CTC).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from karussell.errors import InputError
from karussell.nn import LSTM
from karussell.nn.batch_norm import BatchNorm2d
from karussell.nn.dropout import Dropout


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of the network."""

    channels: tuple[int, ...] = (16, 32)
    """Channels of the convolutions; an empty list leaves them out."""
    time_strides: tuple[int, ...] = (2, 2)
    """Frames each convolution steps over; their product is the subsampling."""
    band_strides: tuple[int, ...] = (2, 2)
    """Bands each convolution steps over."""
    context: int = 5
    """Output frames that a convolution before the LSTM sees, added to what it gets; 0 leaves it out."""
    hidden: int = 128
    """Units of each LSTM layer and direction."""
    layers: int = 2
    """LSTM layers."""
    bidirectional: bool = True
    """Whether the layers also read backwards; without it the model can run live."""
    dropout: float = 0.2
    """Share of units that are dropped between layers while training."""

    def __post_init__(self) -> None:
        for name in ("channels", "time_strides", "band_strides"):
            # lists come from JSON and YAML
            object.__setattr__(self, name, tuple(getattr(self, name)))
            if any(value < 1 for value in getattr(self, name)):
                raise InputError(f"network.{name} is {getattr(self, name)}; each number must be 1 or larger")
        if not len(self.channels) == len(self.time_strides) == len(self.band_strides):
            raise InputError(
                f"network: {len(self.channels)} channels, {len(self.time_strides)} time_strides and "
                f"{len(self.band_strides)} band_strides; there must be one of each a convolution"
            )
        if self.context < 0:
            raise InputError(f"network.context is {self.context}; it must be 0 (none) or larger")
        if self.hidden < 1 or self.layers < 1:
            raise InputError(f"network: hidden is {self.hidden} and layers {self.layers}; both must be 1 or larger")
        if not 0 <= self.dropout < 1:
            raise InputError(f"network.dropout is {self.dropout}; it must be 0 or larger and below 1")

    @property
    def subsampling(self) -> int:
        """Input frames to one output frame."""
        product = 1
        for stride in self.time_strides:
            product *= stride
        return product


class Network(nn.Module):
    """Features [T, B, F] and lengths [B] in, log-posteriors [T', B, K] and their lengths [B] out."""

    def __init__(self, bands: int, labels: int, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        hidden, channels = config.hidden, (1, *config.channels)
        strides = zip(config.time_strides, config.band_strides, strict=True)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels[k], channels[k + 1], 3, stride=stride, padding=1, bias=False)
            for k, stride in enumerate(strides)
        )
        self.norms = nn.ModuleList(BatchNorm2d(count) for count in config.channels)
        for stride in config.band_strides:
            bands = -(-bands // stride)
        self.project = nn.Linear(channels[-1] * bands, hidden)
        self.project_norm = nn.LayerNorm(hidden)
        self.context = nn.Conv1d(hidden, hidden, config.context, padding="same") if config.context else None
        self.context_norm = nn.LayerNorm(hidden) if config.context else None
        self.lstm = LSTM(
            hidden,
            hidden,
            config.layers,
            bidirectional=config.bidirectional,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        self.out = nn.Linear(hidden * (1 + config.bidirectional), labels)
        self.dropout = Dropout(config.dropout)
        self._fill()

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What lies beyond a length changes nothing within it, once the model is in evaluation mode."""
        lengths = lengths.cpu()
        x = features.transpose(0, 1)[:, None]  # [B, 1, T, F]
        for convolution, norm, stride in zip(self.convolutions, self.norms, self.config.time_strides, strict=True):
            x = functional.relu(norm(convolution(_silenced(x, lengths))))
            lengths = -(-lengths // stride)
        x = x.permute(2, 0, 1, 3).flatten(2)  # [T', B, channels * F']
        x = functional.relu(self.project_norm(self.project(self.dropout(x))))
        if self.context is not None and self.context_norm is not None:
            around = _silenced(self.dropout(x).permute(1, 2, 0)[..., None], lengths)[..., 0]  # [B, hidden, T']
            seen = self.context(around).permute(2, 0, 1)
            x = x + functional.relu(self.context_norm(seen))
        y, _ = self.lstm(self.dropout(x), lengths=lengths)
        # in mixed precision the outputs are halves, whose probabilities would not sum to one
        return self.out(self.dropout(y)).float().log_softmax(-1), lengths

    @torch.no_grad()
    def _fill(self) -> None:
        # orthogonal recurrent and Glorot input matrices, gate by gate; a forget gate that is open at first
        # (Gers et al. 2000); He et al. 2015 before a ReLU
        for name, weight in self.lstm.named_parameters():
            if name.startswith("weight"):
                fill = nn.init.orthogonal_ if name.startswith("weight_hh") else nn.init.xavier_uniform_
                for gate in weight.chunk(4):
                    fill(gate)
            else:
                weight.zero_()
                if name.startswith("bias_ih"):
                    weight.chunk(4)[1].fill_(1.0)
        for layer in (*self.convolutions, self.project):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")


def _silenced(x: Tensor, lengths: Tensor) -> Tensor:
    # [B, C, T, F]: beyond its length a row is zero, as beyond the edges of a padded convolution
    inside = torch.arange(x.shape[2]) < lengths[:, None]
    return torch.where(inside.to(x.device)[:, None, :, None], x, 0)
