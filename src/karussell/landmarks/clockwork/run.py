"""The clockwork RNN, 2014: modules that tick at their own periods generate a waveform from nothing."""

from functools import partial

import numpy as np
import torch

from karussell.cells import LSTM, RNN, Cell
from karussell.cells.clockwork import clockwork
from karussell.data.problems.waveforms import waveform
from karussell.landmarks import modern
from karussell.landmarks.landmark import Arm, Claim, Landmark, Outcome, Picture, Rows, Trial, below, fails, succeeds

SAMPLES = 320
PERIODS = tuple(2**k for k in range(9))
# units for about 250 weights, those of the input, which is 0, left out
UNITS = {"clockwork": 18, "LSTM": 7, "RNN": 15}
ENOUGH = 0.05


def make(kind: str, seed: int, engine: str) -> modern.Net:
    """One of the three nets; the paper starts LSTM's forget gates at 5."""
    cell: Cell = {"clockwork": clockwork(PERIODS), "LSTM": LSTM, "RNN": RNN}[kind]
    bias = {"f": 5.0} if kind == "LSTM" else None
    return modern.Net(cell, 1, UNITS[kind], 1, seed, gate_bias=bias, engine=engine)


def weights(net: modern.Net) -> int:
    """Weights that exist and do something: the mask's and no input's."""
    cell, hidden = net.layer.cell, net.layer.hidden_size
    idle = len(cell.fed) * hidden
    masked = 0 if cell.mask is None else hidden * hidden - int(cell.mask(hidden).sum())
    return net.weights - idle - masked


def generate(trial: Trial, kind: str, steps: int = 1500) -> Outcome:
    """Fit a waveform of 320 samples with no input; the value is the squared error as a share of the signal's power."""
    net = make(kind, trial.seed, "reference" if trial.smoke else "auto")
    # seeds 0 to 4 are the five waveforms, later ones begin anew
    y = torch.from_numpy(waveform(trial.seed % 5, SAMPLES)).float()[:, None, None]
    x = torch.zeros(SAMPLES, 1, 1)
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    curve, best = [], float("inf")
    for step in range(trial.cap(steps, 3)):
        loss = (net(x) - y).square().mean() / y.square().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        best = min(best, float(loss.detach()))
        if step % 25 == 0:
            curve.append((float(step), float(loss.detach())))
    return Outcome(best < ENOUGH, best < 4 * ENOUGH, best, {"weights": weights(net)}, curve)


def pictures(rows: Rows, smoke: bool) -> list[Picture]:  # noqa: ARG001 - there is nothing to run
    """The waveforms that are to be generated."""
    steps = list(map(float, range(SAMPLES)))
    curves = [(f"waveform {k + 1}", steps, np.round(waveform(k, SAMPLES), 3).tolist()) for k in range(2)]
    return [
        Picture("Two of the five waveforms", "sample", curves, "Sums of three partials with decay, from 320 samples.")
    ]


LANDMARK = Landmark(
    "clockwork",
    "The clockwork RNN",
    "2014",
    "Koutnik, Greff, Gomez & Schmidhuber, A clockwork RNN, ICML 2014",
    "Modules that run at different clock rates let a small recurrent net generate long waveforms, better than LSTM "
    "with as many weights.",
    "squared error as a share of power (from memory, medium confidence): SRN 0.46, LSTM 0.04, clockwork 0.007. The "
    "paper's sounds are not free: here are five generated waveforms of the same length",
    "squared error as a share of the signal's power",
    "below 0.05",
    (
        Arm("clockwork", partial(generate, kind="clockwork"), published="0.007"),
        Arm("LSTM", partial(generate, kind="LSTM"), "rival", "0.04"),
        Arm("plain RNN", partial(generate, kind="RNN"), "control", "0.46"),
    ),
    (
        Claim("The clockwork net generates the waveforms", succeeds("clockwork")),
        Claim("better than LSTM", below("clockwork", "LSTM")),
        Claim("and better than a plain net", below("clockwork", "plain RNN")),
        Claim("which fails", fails("plain RNN")),
    ),
    reached="below 0.2",
    pictures=pictures,
)
