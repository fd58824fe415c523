"""Framewise classification, 2005: which digit is being said in this frame, by the past, or by past and future?"""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from karussell.cells import LSTM, RNN, Cell
from karussell.landmarks import modern
from karussell.landmarks.curves import learning
from karussell.landmarks.landmark import ENOUGH as ENOUGH_SEEDS
from karussell.landmarks.landmark import Arm, Claim, Landmark, Outcome, Rows, Trial
from karussell.landmarks.speech import BANDS, Speech, speech, targets
from karussell.train.randomness import keyed

ENOUGH = 0.85


class Window(torch.nn.Module):
    """A net without recurrence: frames from `reach` before to `reach` after through one layer of tanh units."""

    def __init__(self, reach: int, hidden: int, outputs: int, seed: int) -> None:
        super().__init__()
        self.reach = reach
        with keyed(torch.device("cpu"), seed, 1):
            self.hidden = torch.nn.Linear(BANDS * (2 * reach + 1), hidden)
            self.out = torch.nn.Linear(hidden, outputs)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:  # noqa: ARG002 - as the others are called
        """What the net says of every frame, [T, B, K]."""
        padded = torch.nn.functional.pad(x, (0, 0, 0, 0, self.reach, self.reach))
        seen = padded.unfold(0, 2 * self.reach + 1, 1).flatten(2)
        return self.out(torch.tanh(self.hidden(seen)))


def make(kind: str, seed: int, classes: int) -> torch.nn.Module:
    """Nets of about 22,000 weights each; for TIMIT the paper's 93 units a direction."""
    if kind == "window":
        return Window(5, 74, classes, seed)
    cell, hidden, both = {
        "RNN": (RNN, 128, False), "BRNN": (RNN, 80, True), "LSTM": (LSTM, 60, False), "BLSTM": (LSTM, 40, True),
        "TIMIT": (LSTM, 93, True),
    }[kind]  # fmt: skip
    return modern.Net(cell, BANDS, hidden, classes, seed, bidirectional=both, gate_bias=_bias(cell))


def _bias(cell: Cell) -> dict[str, float] | None:
    return {"f": 1.0} if "f" in cell.gates else None


def accuracy(net: torch.nn.Module, data: Speech) -> float:
    """The share of frames whose likeliest class is right."""
    right = total = 0
    with torch.no_grad():
        for k in range(0, len(data.x), 64):
            which = list(range(k, min(k + 64, len(data.x))))
            x, lengths = data.batch(which)
            wanted = targets(data, which, len(x))
            there = wanted >= 0
            right += int((net(x, lengths).argmax(-1) == wanted)[there].sum())
            total += int(there.sum())
    return right / total


def run(trial: Trial, kind: str, *, shuffled: bool = False) -> Outcome:
    """Adam on the frames' cross-entropy for a fixed number of epochs; accuracy on strings of other recordings."""
    train, test = (speech(part, few=trial.smoke, original=kind == "TIMIT") for part in ("train", "test"))
    net, rng = make(kind, trial.seed, train.classes), trial.rng(1)
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    curve = []
    for epoch in range(trial.cap(12, 1)):
        for which in train.batches(rng):
            x, lengths = train.batch(which)
            wanted = targets(train, which, len(x), rng if shuffled else None)
            loss = torch.nn.functional.cross_entropy(net(x, lengths).flatten(0, 1), wanted.flatten())
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
        curve.append((float(epoch + 1), accuracy(net, test)))
    weights = sum(p.numel() for p in net.parameters())
    said = np.concatenate(test.frames)
    most = float(np.bincount(said).max() / len(said))
    return Outcome(curve[-1][1] > ENOUGH, True, curve[-1][1], {"weights": weights, "always the commonest": most}, curve)


def _above(rows: Rows, better: str, worse: str) -> bool | None:
    if min(len(rows.get(better, ())), len(rows.get(worse, ()))) < ENOUGH_SEEDS:
        return None
    mean = [float(np.mean([r.value for r in rows[name] if r.value is not None])) for name in (better, worse)]
    return mean[0] > mean[1]


LANDMARK = Landmark(
    "framewise",
    "Framewise classification with both directions",
    "2005",
    "Graves & Schmidhuber, Framewise phoneme classification with bidirectional LSTM, Neural Networks 18",
    "A net that sees past and future beats one that sees the past alone, and LSTM beats a plain recurrent net.",
    "TIMIT, frames right (from memory, medium confidence): BLSTM 70.2 %, BRNN 69.0 %, LSTM 66 %, RNN 65.2 %, MLP with "
    "a window 63.1 %. TIMIT is not free: here digits are joined to strings, so only the order can be compared",
    "share of test frames that are right",
    "more than 85 % of test frames right",
    (
        Arm("BLSTM", partial(run, kind="BLSTM"), published="70.2 % on TIMIT"),
        Arm("LSTM", partial(run, kind="LSTM"), published="66 % on TIMIT"),
        Arm("BRNN", partial(run, kind="BRNN"), "rival", "69.0 % on TIMIT"),
        Arm("RNN", partial(run, kind="RNN"), "rival", "65.2 % on TIMIT"),
        Arm("MLP, 11 frames", partial(run, kind="window"), "rival", "63.1 % on TIMIT"),
        Arm("BLSTM, shuffled labels", partial(run, kind="BLSTM", shuffled=True), "control"),
        Arm("BLSTM, TIMIT itself", partial(run, kind="TIMIT"), "rival", "70.2 %", apart=True),
    ),
    (
        Claim("Both directions beat one: BLSTM above LSTM", lambda r: _above(r, "BLSTM", "LSTM")),
        Claim("and BRNN above RNN", lambda r: _above(r, "BRNN", "RNN")),
        Claim("BLSTM is above BRNN", lambda r: _above(r, "BLSTM", "BRNN")),
        Claim("BLSTM is above the window", lambda r: _above(r, "BLSTM", "MLP, 11 frames")),
        Claim(
            "With labels shuffled in time nothing is learned",
            lambda r: (
                None if not r.get("BLSTM, shuffled labels") else not any(x.strict for x in r["BLSTM, shuffled labels"])
            ),
        ),
    ),
    pictures=learning(
        "Test frames that are right",
        "epoch",
        {
            name: name.replace(" labels", "")
            for name in ("BLSTM", "LSTM", "BRNN", "RNN", "MLP, 11 frames", "BLSTM, shuffled labels")
        },
        percent=True,
    ),
)
