"""Connectionist temporal classification: the loss, the search, and how well it went."""

from karussell.ctc.greedy import greedy
from karussell.ctc.hypothesis import Hypothesis
from karussell.ctc.loss import CTCResult, ctc_loss, ctc_loss_rows
from karussell.ctc.score import ErrorRate, align, confusions, label_error_rate, word_error_rate

__all__ = [
    "CTCResult",
    "ErrorRate",
    "Hypothesis",
    "align",
    "confusions",
    "ctc_loss",
    "ctc_loss_rows",
    "greedy",
    "label_error_rate",
    "word_error_rate",
]
