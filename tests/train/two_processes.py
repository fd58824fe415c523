"""A small training that one process or several can do: `torchrun --nproc-per-node N two_processes.py OUT [norm]`.

With `norm` there is batch norm, and every process has a row of every batch; without, one has none of the last.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from karussell.nn import LSTM
from karussell.nn.batch_norm import BatchNorm2d
from karussell.train import TrainConfig, fit, key
from karussell.train.together import rank

NORM = "norm" in sys.argv


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norm = BatchNorm2d(4) if NORM else nn.Identity()
        self.lstm = LSTM(12, 8)
        self.out = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        z = self.norm(self.convolution(x.permute(1, 2, 0)[:, None]))  # [B, 4, 3, T]
        y, _ = self.lstm(z.flatten(1, 2).permute(2, 0, 1))
        return self.out(y[-1])[:, 0]


def batches(epoch: int) -> list[tuple[Tensor, Tensor]]:
    found = []
    for index in range(6):
        chance = np.random.default_rng(key(3, epoch, index))
        x = torch.from_numpy(chance.standard_normal((7, 5 if index < 5 else 1 + NORM, 3)).astype(np.float32))
        found.append((x, x[:, :, 0].sum(0)))
    return found


def share(batch: tuple[Tensor, Tensor], number: int, count: int) -> tuple[tuple[Tensor, Tensor], float]:
    x, target = batch
    mine = torch.arange(number, x.shape[1], count)
    weight = len(mine) / x.shape[1]
    mine = mine if len(mine) else torch.tensor([0])
    return (x[:, mine], target[mine]), weight


def main(out: Path) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = Net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    config = TrainConfig(epochs=3, device="cpu", log_steps=1, checkpoint_seconds=0, ema=0.9, prefetch=0, threads=1)

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return (model(batch[0]) - batch[1]).square().mean()

    def validate(model: nn.Module) -> dict[str, float]:
        return {"score": float(loss(model, batches(99)[0]))}

    history = fit(model, loss, batches, validate, out, config, share=share)
    assert any(not torch.equal(value, before[name]) for name, value in model.state_dict().items())
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in history.rows]
    weights = {name: value.double().flatten().tolist() for name, value in model.state_dict().items()}
    (out / f"final-{rank()}.json").write_text(json.dumps({"rows": rows, "weights": weights}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
