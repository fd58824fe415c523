"""One training step: the loss of a batch, its gradient, and a change of the weights."""

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from karussell.errors import InputError, KarussellError
from karussell.train.average import Average
from karussell.train.config import TrainConfig
from karussell.train.device import accelerator
from karussell.train.randomness import keyed
from karussell.train.schedule import warmup_cosine
from karussell.train.together import Share, Together


class DivergedError(KarussellError):
    """The loss or its gradient stopped being a number."""


class Measured(NamedTuple):
    """What one step was: its loss, the gradient's norm before clipping, and the learning rate."""

    loss: float
    norm: float
    rate: float


class Stepper:
    """Model, AdamW and average on a device, and the step that a given number and batch make of them.

    Decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101) acts on matrices, not on biases and norms.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[[nn.Module, Any], Tensor],
        config: TrainConfig,
        share: Share | None = None,
    ) -> None:
        self.model, self.config = model, config
        self._loss_fn, self._share = loss_fn, share
        self._engine = accelerator(config.device, config.precision)
        self.device = self._engine.device
        self.together = Together(self._engine.process_index, self._engine.num_processes, self.device)
        if self.together.count > 1 and share is None:
            raise InputError(
                f"train.fit: {self.together.count} processes were launched, but nothing says how they share a batch; "
                "start it without a launcher"
            )
        self.home = next((weight.device for weight in model.parameters()), self.device)
        model.to(self.device)
        decayed = [weight for weight in model.parameters() if weight.ndim > 1]
        others = [weight for weight in model.parameters() if weight.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
        )
        self._wrapped, self._stepper = self._engine.prepare(model, self.optimizer)
        self.average = Average(model, config.ema) if config.ema else None
        self.scaler = self._engine.scaler
        # of the learning rate: halved by every setback
        self.factor = 1.0

    def take(self, step: int, done: float, batch: Any) -> Measured:
        """Make step number `step`, counted from 0, with the share `done` of the training behind it.

        A loss that is not finite changes no weight and raises.
        """
        config = self.config
        rate = self.factor * warmup_cosine(
            done, peak=config.learning_rate, warmup=config.warmup, start=config.start, final=config.final
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        rank, count = self.together.rank, self.together.count
        with keyed(self.device, config.seed, step, *([rank] if count > 1 else [])):
            part, weight = (batch, 1.0) if self._share is None or count == 1 else self._share(batch, rank, count)
            # gradients are averaged over the processes, and must be summed
            loss = self._loss_fn(self._wrapped, self._send(part)) * (weight * count)
            value = self.together.sum(float(loss.detach()) / count)
            if not math.isfinite(value):
                raise self._diverged("loss", value, step)
            self._stepper.zero_grad(set_to_none=True)
            self._engine.backward(loss)
        # the limit infinity measures the norm and clips nothing
        clipped = self._engine.clip_grad_norm_(self.model.parameters(), config.clip or math.inf)
        norm = float(clipped) if clipped is not None else 0.0
        # with fp16 an overflow now and then is how the scaler finds its scale
        if self.scaler is None and not math.isfinite(norm):
            raise self._diverged("norm of the gradient", norm, step)
        self._stepper.step()
        if self.average is not None:
            self.average.update(self.model, step)
        return Measured(value, norm, rate)

    def validate(
        self, step: int, validate: Callable[[nn.Module], Mapping[str, float]]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """The numbers of a validation, and a copy of the weights they belong to: the averaged ones, if any."""
        self.model.eval()
        averaged = self.average.in_place_of(self.model) if self.average is not None else nullcontext()
        with averaged, torch.no_grad(), keyed(self.device, self.config.seed, step, 1):
            network = self._wrapped if self.together.count == 1 else self.model
            numbers = {name: float(number) for name, number in validate(network).items()}
            weights = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        return numbers, weights

    def release(self) -> None:
        """Give the model back as it came: on its own device, without the wrapper of mixed precision."""
        self._engine.unwrap_model(self._wrapped, keep_fp32_wrapper=False)
        self.model.to(self.home)

    def _send(self, batch: Any) -> Any:
        from accelerate.utils import send_to_device

        return send_to_device(batch, self.device)

    def _diverged(self, what: str, value: float, step: int) -> DivergedError:
        return DivergedError(
            f"the {what} became {value} at step {step}; no weight was changed by it. Try a lower "
            f"train.learning_rate (now {self.config.learning_rate:g}) or train.clip (now {self.config.clip:g}), "
            "or look for broken recordings in the data"
        )
