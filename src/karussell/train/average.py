"""An exponential moving average of the weights: often better than the last step's, and free at evaluation."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Tracks `a <- d a + (1 - d) w` for every floating tensor of a model, batch statistics included.

    `d = min(decay, (1 + n) / (10 + n))` after n updates, so that the first steps are soon forgotten.
    Polyak and Juditsky 1992; the warmup of the decay is the one of TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, updates: int) -> None:
        """Move the average towards the model's weights, after `updates` earlier moves."""
        decay = min(self.decay, (1 + updates) / (10 + updates))
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                self.tensors[name].lerp_(tensor, 1 - decay)
            else:
                self.tensors[name].copy_(tensor)

    @contextmanager
    def in_place_of(self, model: nn.Module) -> Iterator[None]:
        """The model computes with the averaged weights inside the block, and with its own after it."""
        own = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        model.load_state_dict(self.tensors)
        try:
            yield
        finally:
            model.load_state_dict(own)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take the average from a checkpoint."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])
