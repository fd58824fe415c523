"""What decides how a model is trained; the line under each field is the help that the command line shows."""

from dataclasses import asdict, dataclass
from typing import Any

from karussell.errors import InputError

# these may differ between a run and its continuation: they do not touch the arithmetic of a step
FREE_TO_CHANGE = ("device", "checkpoint_seconds", "log_steps", "prefetch", "threads", "keep")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `fit`: AdamW, its schedule, clipping, averaging, validation, checkpoints."""

    epochs: int = 30
    """Passes over the training data."""
    learning_rate: float = 2e-3
    """Peak learning rate of AdamW."""
    warmup: float = 0.1
    """Share of all steps spent on the linear warmup."""
    start: float = 0.1
    """The warmup begins at this share of the peak rate."""
    final: float = 0.01
    """The cosine ends at this share of the peak rate."""
    weight_decay: float = 0.01
    """Decoupled weight decay of weight matrices."""
    beta1: float = 0.9
    """Decay of AdamW's mean of gradients."""
    beta2: float = 0.98
    """Decay of AdamW's mean of squared gradients."""
    clip: float = 2.0
    """Largest gradient norm; 0 leaves gradients alone."""
    ema: float = 0.99
    """Decay of the moving average of weights that is validated and kept; 0 is off."""
    validate_epochs: int = 1
    """Validate after every so many epochs."""
    patience: int = 0
    """Stop after so many validations without a better score; 0 never."""
    budget: float = 0.0
    """Seconds of training, validation included, after which it ends, schedule and all; 0 never."""
    seed: int = 0
    """Fixes weights, batches, augmentation and dropout."""
    device: str = "auto"
    """The best one there is (auto), or cpu, cuda, cuda:1, mps."""
    precision: str = "no"
    """Mixed precision of accelerate: no, bf16 or fp16."""
    checkpoint_seconds: float = 30.0
    """Seconds between checkpoints; 0 writes one after every step."""
    keep: int = 2
    """Checkpoints that are kept; if the newest is damaged, a run goes on from the one before."""
    log_steps: int = 20
    """Steps averaged into one row of metrics.jsonl."""
    prefetch: int = 2
    """Batches a thread prepares ahead; 0 prepares in turn."""
    threads: int = 0
    """Threads of torch while training; 0: what torch has, less one if batches are prepared ahead."""

    def __post_init__(self) -> None:
        _positive(self, "epochs", "learning_rate", "validate_epochs", "log_steps", "keep")
        _not_negative(
            self, "weight_decay", "clip", "patience", "checkpoint_seconds", "prefetch", "threads", "seed", "budget"
        )
        for name in ("warmup", "start", "final", "ema", "beta1", "beta2"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"train.{name} is {getattr(self, name)}; it is a share between 0 and 1")
        if self.ema == 1:
            raise InputError("train.ema is 1, which would never leave the initial weights; try 0.999")
        if self.precision not in ("no", "bf16", "fp16"):
            raise InputError(f"train.precision is {self.precision!r}; choose no, bf16 or fp16")

    def identity(self) -> dict[str, Any]:
        """The settings that a continued run must share with its beginning."""
        return {name: value for name, value in asdict(self).items() if name not in FREE_TO_CHANGE}


def _positive(config: TrainConfig, *names: str) -> None:
    for name in names:
        if not getattr(config, name) > 0:
            raise InputError(f"train.{name} is {getattr(config, name)}; it must be larger than 0")


def _not_negative(config: TrainConfig, *names: str) -> None:
    for name in names:
        if not getattr(config, name) >= 0:
            raise InputError(f"train.{name} is {getattr(config, name)}; it must be 0 or larger")
