"""Connectionist temporal classification, 2006: labels without places, against a label for every frame."""

from functools import lru_cache, partial

import numpy as np
import torch

from karussell.cells import LSTM
from karussell.ctc.search import Beam, Decoder, Writing
from karussell.landmarks import modern
from karussell.landmarks.curves import learning
from karussell.landmarks.landmark import Arm, Claim, Landmark, Outcome, Trial, below, fails
from karussell.landmarks.speech import (
    BANDS,
    EPOCHS,
    SILENCE,
    Speech,
    best_path,
    error_rate,
    posteriors,
    speech,
    train_ctc,
    train_frames,
)

ENOUGH = 0.10
HIDDEN = 48
SHORTEST = 5


def parts(trial: Trial, original: bool = False) -> tuple[Speech, Speech]:
    """Strings to train on and to test; of TIMIT if `original`."""
    train, test = (speech(part, few=trial.smoke, original=original) for part in ("train", "test"))
    return train, test


@lru_cache(maxsize=1)
def trained(trial: Trial, shuffled: bool, original: bool) -> tuple[modern.Net, list[tuple[float, float]]]:
    """BLSTM trained with CTC, with its curve. With `shuffled`, strings have each other's labels."""
    train, _ = parts(trial, original)
    labels = [tuple(d + 1 for d in digits) for digits in train.labels]
    if shuffled:
        # strings of like length change labels, so that every label still fits
        order = np.argsort([len(x) for x in labels], kind="stable")
        labels = [labels[order[(int(np.flatnonzero(order == k)[0]) + 7) % len(order)]] for k in range(len(order))]
        labels = [x[: max(1, len(frames) // 4)] for x, frames in zip(labels, train.x, strict=True)]
    hidden = 100 if original else HIDDEN
    net = modern.Net(LSTM, BANDS, hidden, train.kinds + 1, trial.seed, bidirectional=True, gate_bias={"f": 1.0})
    return net, train_ctc(net, train, labels, trial.cap(EPOCHS, 1), trial.rng(1))


def ctc(trial: Trial, *, search: bool = False, shuffled: bool = False, original: bool = False) -> Outcome:
    """Best path, or prefix search, of the net of this seed; one training serves both."""
    _, test = parts(trial, original)
    net, curve = trained(trial, shuffled, original)
    found = best_path(net, test)
    if search:
        decoder = Decoder(Writing.of([str(d) for d in range(10)]), beam=Beam(width=50), threads=1)
        found = [h.tokens for z, lengths in posteriors(net, test) for h in decoder.decode(z, lengths)]
    rate = error_rate([tuple(d + 1 for d in digits) for digits in test.labels], found)
    return Outcome(rate < ENOUGH, True, rate, {"weights": net.weights}, curve)


def hybrid(trial: Trial) -> Outcome:
    """The same net trained on frames whose labels are known; runs of at least 100 ms of a digit are its labels.

    In place of the hidden Markov model of the paper, which brings durations and transitions, stands that least length.
    """
    train, test = parts(trial)
    net = modern.Net(LSTM, BANDS, HIDDEN, SILENCE + 1, trial.seed, bidirectional=True, gate_bias={"f": 1.0})
    train_frames(net, train, trial.cap(EPOCHS, 1), trial.rng(1))
    found = []
    for z, lengths in posteriors(net, test):
        for b, n in enumerate(lengths.tolist()):
            labels, runs = torch.unique_consecutive(z[:n, b].argmax(-1), return_counts=True)
            kept = zip(labels.tolist(), runs.tolist(), strict=True)
            found.append(tuple(k for k, run in kept if k != SILENCE and run >= SHORTEST))
    rate = error_rate(test.labels, found)
    return Outcome(rate < ENOUGH, True, rate, {"weights": net.weights})


LANDMARK = Landmark(
    "ctc",
    "Connectionist temporal classification",
    "2006",
    "Graves, Fernandez, Gomez & Schmidhuber, Connectionist temporal classification, ICML 2006",
    "A recurrent net learns to label unsegmented sequences directly, better than one that was told every frame.",
    "TIMIT, label error (from memory, high confidence): framewise hybrid 33.84 ± 0.06 %, CTC best path 31.47 ± 0.21 %, "
    "prefix search 30.51 ± 0.19 %. TIMIT is not free: here digits are joined to strings; only the order compares",
    "label error rate on test strings",
    "less than 10 % of labels wrong",
    (
        Arm("CTC, best path", ctc, published="31.47 % on TIMIT"),
        Arm("CTC, prefix search", partial(ctc, search=True), published="30.51 % on TIMIT"),
        Arm("framewise hybrid", hybrid, "rival", "33.84 % on TIMIT"),
        Arm("CTC, labels of other strings", partial(ctc, shuffled=True), "control"),
        Arm("CTC, best path, TIMIT itself", partial(ctc, original=True), "rival", "31.47 %", apart=True),
    ),
    (
        Claim("CTC is better than the framewise hybrid", below("CTC, best path", "framewise hybrid")),
        Claim("Prefix search is no worse than the best path", below("CTC, prefix search", "CTC, best path", 1.0001)),
        Claim("From the labels of other strings nothing is learned", fails("CTC, labels of other strings")),
    ),
    pictures=learning(
        "Loss a string on the training set",
        "epoch",
        {"CTC, best path": "CTC", "CTC, labels of other strings": "labels of others"},
    ),
)
