"""A whole training as a program: `python tiny_run.py OUT [key=value…]` leaves OUT/final.safetensors."""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from karussell.errors import KarussellError
from karussell.train import Progress, Terminated, TrainConfig, fit, key


class Tiny(nn.Module):
    """An LSTM with dropout: chance inside the model has to survive a resume as well."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 8, 2, dropout=0.3)
        self.norm = nn.BatchNorm1d(8)
        self.out = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.lstm(x)
        return self.out(self.norm(y[-1]))


class Sums:
    """Batches of a task with an answer: the sum of the first channel, with a pause that makes a kill hit."""

    def __init__(self, epoch: int, pause: float, poison: int | None) -> None:
        self.epoch, self.pause, self.poison = epoch, pause, poison

    def __len__(self) -> int:
        # epochs of different lengths, as length buckets give them
        return 9 + self.epoch % 2

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        time.sleep(self.pause)
        chance = np.random.default_rng(key(7, self.epoch, index))
        x = torch.from_numpy(chance.standard_normal((6, 4, 3)).astype(np.float32))
        target = x[:, :, 0].sum(0)
        if self.epoch * 9 + index == self.poison:
            target = target * float("nan")
        return x, target


def main(out: Path, pause: float = 0.0, poison: int | None = None, **settings: object) -> None:
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(1))
        model = Tiny()
    config = TrainConfig(**{"epochs": 6, "device": "cpu", "log_steps": 4, "checkpoint_seconds": 0.1, **settings})

    def loss_fn(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, target = batch
        return (model(x)[:, 0] - target).square().mean()

    def validate(model: nn.Module) -> dict[str, float]:
        x, target = Sums(1000, 0, None)[0]
        return {"score": float((model(x)[:, 0] - target).square().mean())}

    history = fit(
        model, loss_fn, lambda epoch: Sums(epoch, pause, poison), validate, out, config, progress=Progress("tiny")
    )
    safetensors.torch.save_file(model.state_dict(), out / "final.safetensors")
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in history.rows]
    (out / "final.json").write_text(json.dumps({"rows": rows, "best": history.best, "steps": history.steps}))


if __name__ == "__main__":
    given = dict(argument.split("=") for argument in sys.argv[2:])
    try:
        main(Path(sys.argv[1]), **{name: json.loads(value) for name, value in given.items()})
    except KarussellError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt as error:
        os._exit(143 if isinstance(error, Terminated) else 130)
