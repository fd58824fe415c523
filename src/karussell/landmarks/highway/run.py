"""Highway networks, 2015: MNIST through 10 to 100 layers, plain and with gates that let the signal pass."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from karussell.landmarks.archives import arrays
from karussell.landmarks.curves import learning
from karussell.landmarks.landmark import Arm, Claim, Landmark, Outcome, Trial, below, fails, succeeds
from karussell.train.randomness import keyed

DEPTHS = (10, 20, 50, 100)
ENOUGH = 0.10
STEPS = 1200


class Stack(torch.nn.Module):
    """A layer to the width, `depth` - 1 layers of it, a read-out: y = H(x) T(x) + x (1 - T(x)), or y = H(x).

    50 units with gates or 71 without have about as many weights; the gates' biases start at -1 to -4, by depth.
    """

    def __init__(self, depth: int, gates: bool, seed: int) -> None:
        super().__init__()
        width = 50 if gates else 71
        with keyed(torch.device("cpu"), seed, depth):
            self.first = torch.nn.Linear(784, width)
            self.h = torch.nn.ModuleList(torch.nn.Linear(width, width) for _ in range(depth - 1))
            self.t = torch.nn.ModuleList(torch.nn.Linear(width, width) for _ in range((depth - 1) * gates))
            self.out = torch.nn.Linear(width, 10)
        with torch.no_grad():
            for name, weight in self.h.named_parameters():
                if name.endswith("weight"):
                    torch.nn.init.kaiming_normal_(weight, nonlinearity="relu")
            for name, bias in self.t.named_parameters():
                if name.endswith("bias"):
                    bias.fill_(-1.0 - 3.0 * DEPTHS.index(depth) / 3)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the ten digits, [B, 10]."""
        y = torch.relu(self.first(x))
        for k, layer in enumerate(self.h):
            h = torch.relu(layer(y))
            if len(self.t):
                t = torch.sigmoid(self.t[k](y))
                h = h * t + y * (1 - t)
            y = h
        return self.out(y)


def images(part: str, smoke: bool) -> tuple[Tensor, Tensor]:
    """The digits of a part, [N, 784] from 0 to 1, and their classes; noise in smoke mode."""
    if smoke:
        rng = np.random.default_rng(0)
        return torch.from_numpy(rng.random((64, 784), np.float32)), torch.from_numpy(rng.integers(0, 10, 64))
    found = list(arrays("mnist.zip", f"{part}.npz").values())
    x, y = (found[0], found[1]) if found[0].ndim > 1 else (found[1], found[0])
    return torch.from_numpy(x.reshape(len(x), -1).astype(np.float32) / 255), torch.from_numpy(y.astype(np.int64))


def deep(trial: Trial, depth: int, gates: bool, *, shuffled: bool = False) -> Outcome:
    """SGD with momentum 0.9 and a rate that falls exponentially, 1200 batches of 100; error on the test set."""
    x, y = images("train", trial.smoke)
    test_x, test_y = images("test", trial.smoke)
    rng = trial.rng(depth)
    y = y[torch.from_numpy(rng.permutation(len(y)))] if shuffled else y
    net = Stack(depth, gates, trial.seed)
    steps = trial.cap(STEPS, 2)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.1 ** (1 / steps))
    curve, recent = [], []
    for step in range(steps):
        which = torch.from_numpy(rng.integers(0, len(x), 100))
        loss = torch.nn.functional.cross_entropy(net(x[which]), y[which])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        recent.append(float(loss.detach()))
        if (step + 1) % 50 == 0:
            curve.append((float(step + 1), float(np.mean(recent[-50:]))))
    with torch.no_grad():
        wrong = float((net(test_x).argmax(1) != test_y).float().mean())
    last = float(np.mean(recent[-50:]))
    count = sum(p.numel() for p in net.parameters())
    return Outcome(wrong < ENOUGH, True, wrong, {"training loss at the end": last, "weights": count}, curve)


LANDMARK = Landmark(
    "highway",
    "Highway networks",
    "2015",
    "Srivastava, Greff & Schmidhuber, Training very deep networks, NIPS 2015",
    "With gates that let their input pass, a hundred layers are learned as easily as ten; plain nets fail beyond 20.",
    "highway nets of 100 layers train about as well as of 10, and their training error is more than an order of "
    "magnitude better than that of plain nets of 100 (from memory, high confidence)",
    "share of MNIST's test digits that are wrong",
    "less than 10 % of the test digits wrong after two epochs",
    (
        *(Arm(f"highway, depth {d}", partial(deep, depth=d, gates=True)) for d in DEPTHS),
        *(
            Arm(f"plain, depth {d}", partial(deep, depth=d, gates=False), "control" if d > 20 else "rival")
            for d in DEPTHS
        ),
        Arm("highway, depth 10, shuffled labels", partial(deep, depth=10, gates=True, shuffled=True), "control"),
    ),
    (
        *(Claim(f"A highway net of {d} layers learns", succeeds(f"highway, depth {d}", 1)) for d in DEPTHS),
        Claim("A plain net of 100 layers does not", fails("plain, depth 100")),
        Claim("Plain nets of 50 layers are worse than highway nets", below("highway, depth 50", "plain, depth 50")),
        Claim("Nothing is learned from shuffled labels", fails("highway, depth 10, shuffled labels")),
    ),
    pictures=learning(
        "Training loss",
        "update",
        {
            **{f"highway, depth {d}": f"highway {d}" for d in DEPTHS},
            **{f"plain, depth {d}": f"plain {d}" for d in DEPTHS[2:]},
        },
    ),
)
