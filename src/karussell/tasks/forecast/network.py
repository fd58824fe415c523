"""The network of the forecaster: an LSTM over patches of the past, an LSTM over patches of the future, a linear path.

    context [B, L] -> patches of P steps, each with its mask, calendar and covariates -> linear, ReLU -> LSTM
    state of the LSTM at the origin, then patches of the future's calendar and covariates and a learned position
    -> linear, ReLU -> LSTM -> linear -> [B, D, outputs];   outputs[0] (or the median) += A context + a

The whole horizon comes out at once: nothing that was forecast is read again. The linear path A [D, L] begins as half
the season before; it is the DLinear of Zeng et al. 2023 (arXiv 2205.13504) without its decomposition, and the LSTM
learns what is left: the segments are those of Lin et al. 2023 (SegRNN, arXiv 2308.11200), the past's and future's
networks those of Sutskever et al. 2014.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from karussell.nn import LSTM
from karussell.tasks.forecast.config import ForecasterConfig
from karussell.tasks.forecast.heads import width
from karussell.tasks.forecast.windows import Batch

_POSITION = 8


class ForecastNetwork(nn.Module):
    """A batch of windows in, [B, D, outputs] of the head out, all on the windows' own scales.

    `past` and `future` are the numbers of calendar and covariate columns, `static` those of attributes.
    """

    def __init__(self, config: ForecasterConfig, past: int, future: int, static: int) -> None:
        super().__init__()
        shape, self.horizon = config.network, config.horizon
        self.patch = shape.patch
        self.context_patches, self.future_patches = (
            -(-steps // self.patch) for steps in (config.context, self.horizon)
        )
        self.outputs = width(config.distribution, config.levels)
        # the output that the linear path leads to
        self.main = config.levels.index(0.5) if config.distribution == "quantiles" else 0
        hidden = shape.hidden
        self.read_past = nn.Linear(self.patch * (2 + past), hidden)
        self.read_future = nn.Linear(self.patch * future + _POSITION, hidden)
        self.read_static = nn.Linear(static, hidden, bias=False) if static else None
        self.position = nn.Parameter(0.1 * torch.randn(self.future_patches, _POSITION))
        between = shape.dropout if shape.layers > 1 else 0.0
        self.past = LSTM(hidden, hidden, shape.layers, dropout=between)
        self.future = LSTM(hidden, hidden, shape.layers, dropout=between)
        self.out = nn.Linear(hidden, self.patch * self.outputs)
        self.skip = nn.Linear(config.context, self.horizon)
        self.dropout = nn.Dropout(shape.dropout)
        self._fill(config)

    def forward(self, batch: Batch) -> Tensor:
        """Raw outputs of the head, [B, D, outputs]."""
        rows = len(batch.context)
        seen = torch.stack([batch.context, batch.there], -1)
        past = self._patches(torch.cat([seen, batch.past], -1), self.context_patches, front=True)
        future = torch.cat(
            [
                self._patches(batch.future, self.future_patches, front=False),
                self.position[:, None].expand(-1, rows, -1),
            ],
            -1,
        )
        x, z = self.read_past(past), self.read_future(future)
        if self.read_static is not None:
            static = self.read_static(batch.static)
            x, z = x + static, z + static
        _, state = self.past(self.dropout(functional.relu(x)))
        y, _ = self.future(self.dropout(functional.relu(z)), state)
        raw = self.out(self.dropout(y)).float().transpose(0, 1)  # [B, patches, P * outputs]
        raw = raw.reshape(rows, -1, self.outputs)[:, : self.horizon]
        # added to one output of each step
        base = functional.pad(self.skip(batch.context)[..., None], (self.main, self.outputs - self.main - 1))
        return raw + base

    def _patches(self, x: Tensor, count: int, *, front: bool) -> Tensor:
        """Steps [B, T, F] as patches [count, B, P * F]; what is missing at one end is zero."""
        rows, steps, features = x.shape
        short = count * self.patch - steps
        padded = functional.pad(x, (0, 0, short, 0) if front else (0, 0, 0, short))
        return padded.reshape(rows, count, self.patch * features).transpose(0, 1)

    @torch.no_grad()
    def _fill(self, config: ForecasterConfig) -> None:
        # a forecast begins near the linear path
        self.out.weight.mul_(0.3)
        self.skip.weight.zero_()
        self.skip.bias.zero_()
        season = config.season_seen
        if season > 1:
            for step in range(self.horizon):
                self.skip.weight[step, config.context - season + step % season] = 0.5
