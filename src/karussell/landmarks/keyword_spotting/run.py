"""Keyword spotting and hierarchical CTC, 2007: only the keywords are labelled; and a net on a net, each with labels."""

from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from karussell.cells import LSTM, RNN, Cell
from karussell.landmarks import modern
from karussell.landmarks.curves import learning
from karussell.landmarks.landmark import Arm, Claim, Landmark, Outcome, Trial, below, fails, succeeds
from karussell.landmarks.speech import BANDS, EPOCHS, Speech, best_path, error_rate, speech, train_ctc

KEYWORDS = (3, 7, 9)
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LETTERS = sorted(set("".join(NAMES)))
DETECTED, WRONG = 0.9, 0.10
RATE = "hierarchy: label error rate"


def parts(trial: Trial) -> tuple[Speech, Speech]:
    """Strings to train on and to test."""
    return speech("train", few=trial.smoke), speech("test", few=trial.smoke)


def keywords(trial: Trial, cell: Cell, hidden: int, *, both: bool = True) -> Outcome:
    """CTC whose labels are three digits; all other speech is the blank. The value is F1 over the labels in order."""
    train, test = parts(trial)
    numbers = {digit: k + 1 for k, digit in enumerate(KEYWORDS)}

    def labels(data: Speech) -> list[tuple[int, ...]]:
        return [tuple(numbers[d] for d in digits if d in numbers) for digits in data.labels]

    bias = {"f": 1.0} if "f" in cell.gates else None
    net = modern.Net(cell, BANDS, hidden, len(KEYWORDS) + 1, trial.seed, bidirectional=both, gate_bias=bias)
    curve = train_ctc(net, train, labels(train), trial.cap(EPOCHS, 1), trial.rng(1))
    right = said = wanted = 0
    for a, b in zip(labels(test), best_path(net, test), strict=True):
        right += sum(min(a.count(k), b.count(k)) for k in numbers.values())
        said, wanted = said + len(b), wanted + len(a)
    f1 = 2 * right / max(said + wanted, 1)
    return Outcome(
        f1 > DETECTED, True, f1, {"precision": right / max(said, 1), "recall": right / max(wanted, 1)}, curve
    )


class Levels(torch.nn.Module):
    """A net that writes letters, and one that reads its letters' probabilities, blanks included, and writes digits."""

    def __init__(self, seed: int, hidden: int = 32) -> None:
        super().__init__()
        self.letters = modern.Net(LSTM, BANDS, hidden, len(LETTERS) + 1, seed, bidirectional=True, gate_bias={"f": 1.0})
        self.digits = modern.Net(LSTM, len(LETTERS) + 1, hidden, 11, seed + 1000, bidirectional=True,
                                 gate_bias={"f": 1.0})  # fmt: skip

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """What the upper level says, [T, B, 11]."""
        return self.digits(self.letters(x, lengths).softmax(-1), lengths)


def hierarchical(trial: Trial, *, joint: bool = True) -> Outcome:
    """Both levels trained with the sum of their CTC losses; the value is the digits' error rate.

    Letters of the digits' names stand for the phonemes of the paper. Without `joint`, only the upper level has labels.
    """
    train, test = parts(trial)
    spelled = [tuple(LETTERS.index(c) + 1 for d in digits for c in NAMES[d]) for digits in train.labels]
    numbered = [tuple(d + 1 for d in digits) for digits in train.labels]
    net, rng = Levels(trial.seed), trial.rng(1)
    # what is too long for its frames cannot be spelled: such strings only teach the upper level
    letters = [s if _needs(s) <= len(x) else None for x, s in zip(train.x, spelled, strict=True)]
    lower = (net.letters, letters) if joint else None
    curve = train_ctc(net, train, numbered, trial.cap(EPOCHS, 1), rng, lower=lower)
    rate = error_rate([tuple(d + 1 for d in digits) for digits in test.labels], best_path(net, test))
    return Outcome(rate < WRONG, True, rate, {}, curve)


def _needs(labels: tuple[int, ...]) -> int:
    return len(labels) + sum(a == b for a, b in pairwise(labels))


LANDMARK = Landmark(
    "keyword_spotting",
    "Keyword spotting and hierarchical CTC",
    "2007",
    "Fernandez, Graves & Schmidhuber, ICANN 2007 (keywords) and IJCAI 2007 (hierarchy)",
    "A net that is told the keywords alone finds them in running speech; levels of nets with labels of their own learn "
    "structured sequences.",
    "12 keywords in dialogues, median detection about 84.5 % (from memory, low confidence); hierarchy on TIDIGITS "
    "beats the hidden Markov model. Neither set is free: here digits are joined to strings",
    "keywords: F1",
    "keywords: F1 above 0.9; hierarchy: less than 10 % of digits wrong",
    (
        Arm("keywords, BLSTM", partial(keywords, cell=LSTM, hidden=40)),
        Arm("keywords, plain RNN, one direction", partial(keywords, cell=RNN, hidden=128, both=False), "control"),
        Arm("hierarchy, letters then digits", hierarchical, figure=RATE),
        Arm("hierarchy, digits alone labelled", partial(hierarchical, joint=False), "rival", figure=RATE),
    ),
    (
        Claim("Three keywords are found without any other label", succeeds("keywords, BLSTM")),
        Claim("A plain net that sees the past alone does not reach that", fails("keywords, plain RNN, one direction")),
        Claim("The hierarchy writes digits", succeeds("hierarchy, letters then digits")),
        Claim(
            "Labels for the lower level help",
            below("hierarchy, letters then digits", "hierarchy, digits alone labelled"),
        ),
    ),
    pictures=learning(
        "Loss a string on the training set",
        "epoch",
        {
            "keywords, BLSTM": "BLSTM",
            "keywords, plain RNN, one direction": "plain RNN",
            "hierarchy, letters then digits": "hierarchy",
            "hierarchy, digits alone labelled": "digits alone",
        },
    ),
)
