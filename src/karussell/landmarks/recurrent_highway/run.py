"""Recurrent highway networks, 2017: depth within a time step, on characters, at equal parameters."""

import math
from functools import partial

import numpy as np
import torch

from karussell.cells import RNN, Cell
from karussell.cells.highway import highway
from karussell.landmarks.archives import text
from karussell.landmarks.curves import learning
from karussell.landmarks.landmark import Arm, Claim, Landmark, Outcome, Trial, below, fails
from karussell.nn import Recurrent, detach
from karussell.train.randomness import keyed

# units by depth, for about 110,000 weights in the recurrent part
UNITS = {1: 200, 2: 150, 3: 126, 4: 111, 5: 100}
ENOUGH = 2.0
STEPS, BATCH, PIECE = 1500, 32, 50
FRESH = 20
"""Pieces after which the state is emptied: a net that never sees an empty one may not find out of it in the test."""


class Model(torch.nn.Module):
    """Characters in, scores of the next out."""

    def __init__(self, cell: Cell, units: int, kinds: int, seed: int, engine: str) -> None:
        super().__init__()
        with keyed(torch.device("cpu"), seed, units):
            bias = {gate: -2.0 for gate in cell.gates if gate.startswith("t")}
            self.embed = torch.nn.Embedding(kinds, 32)
            self.layer = Recurrent(cell, 32, units, gate_bias=bias or None, engine=engine)
            self.out = torch.nn.Linear(units, kinds)


def characters(part: str, smoke: bool) -> np.ndarray:
    """The text of a part as numbers of its characters; words are parted by a space, sentences by a line's end."""
    if smoke:
        return np.random.default_rng(0).integers(0, 20, 4000)
    kinds = sorted(set(text("ptb.zip", "ptb.train.txt")))
    return np.array([kinds.index(c) for c in text("ptb.zip", f"ptb.{part}.txt") if c in kinds])


def model_text(trial: Trial, cell: Cell, units: int, *, shuffled: bool = False) -> Outcome:
    """Adam, pieces of 50 characters with the state carried on; bits a character on the test text."""
    data, test = characters("train", trial.smoke), characters("test", trial.smoke)
    if shuffled:
        data = trial.rng(2).permutation(data)
    kinds = int(data.max()) + 1
    net = Model(cell, units if not trial.smoke else 8, kinds, trial.seed, "reference" if trial.smoke else "auto")
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    width = len(data) // BATCH
    rows = torch.from_numpy(data[: width * BATCH].reshape(BATCH, width).T.copy())
    state, at, curve = None, 0, []
    for step in range(trial.cap(STEPS, 2)):
        if at + PIECE + 1 > width:
            state, at = None, 0
        piece = rows[at : at + PIECE + 1]
        y, state = net.layer(net.embed(piece[:-1]), state)
        loss = torch.nn.functional.cross_entropy(net.out(y).flatten(0, 1), piece[1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        state, at = None if (step + 1) % FRESH == 0 else detach(state), at + PIECE
        if (step + 1) % 50 == 0:
            curve.append((float(step + 1), float(loss.detach()) / math.log(2)))
    bits = evaluate(net, test[:100_000])
    weights = sum(p.numel() for p in net.parameters())
    return Outcome(bits < ENOUGH, True, bits, {"weights": weights}, curve)


@torch.no_grad()
def evaluate(net: Model, data: np.ndarray) -> float:
    """Bits a character, in 20 rows side by side."""
    width = len(data) // 20
    rows = torch.from_numpy(data[: width * 20].reshape(20, width).T.copy())
    total, state = 0.0, None
    for at in range(0, width - 1, 500):
        piece = rows[at : at + 501]
        y, state = net.layer(net.embed(piece[:-1]), state)
        z = net.out(y).flatten(0, 1)
        total += float(torch.nn.functional.cross_entropy(z, piece[1:].flatten(), reduction="sum"))
    return total / ((width - 1) * 20) / math.log(2)


LANDMARK = Landmark(
    "recurrent_highway",
    "Recurrent highway networks",
    "2017",
    "Zilly, Srivastava, Koutnik & Schmidhuber, Recurrent highway networks, ICML 2017",
    "Depth within a time step makes language models better at the same number of weights.",
    "Penn Treebank words, perplexity by depth 1 to 5: 89.2, 76.3, 72.6, 70.9, 69.8 (untied). Here: characters",
    "bits a character on the test text",
    "below 2.0 bits a character",
    (
        *(Arm(f"depth {d}", partial(model_text, cell=highway(d), units=n)) for d, n in UNITS.items()),
        Arm("plain RNN", partial(model_text, cell=RNN, units=300), "rival"),
        Arm("depth 2, shuffled text", partial(model_text, cell=highway(2), units=UNITS[2], shuffled=True), "control"),
    ),
    (
        Claim("Depth 2 is better than depth 1", below("depth 2", "depth 1")),
        Claim("Depth 5 is better than depth 1", below("depth 5", "depth 1")),
        Claim("From shuffled text nothing is learned", fails("depth 2, shuffled text")),
    ),
    pictures=learning(
        "Bits a character on the training text",
        "update",
        {**{f"depth {d}": f"depth {d}" for d in UNITS}, "depth 2, shuffled text": "shuffled"},
    ),
)
