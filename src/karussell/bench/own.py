"""Cells such as a user writes, for the bench: a step in ten lines, and every engine runs it.

    JANET  c = s(f) c + (1 - s(f - 1)) tanh(g)                    van der Westhuizen & Lasenby 2018
    UGRNN  h = s(u) h + (1 - s(u)) tanh(g)                        Collins, Sohl-Dickstein & Sussillo 2017
    MGU    f = s(.), h = (1 - f) h + f tanh(W x + R (f h) + b)    Zhou et al. 2016

in the forms and gate orders of torchrecurrent, with which they are compared.
"""

from torch import Tensor, sigmoid, tanh

from karussell.cells import Cell, Stage


def _janet(f: Tensor, g: Tensor, h: Tensor) -> Tensor:
    return sigmoid(f) * h + (1 - sigmoid(f - 1)) * tanh(g)


def _ugrnn(g: Tensor, u: Tensor, h: Tensor) -> Tensor:
    u = sigmoid(u)
    return u * h + (1 - u) * tanh(g)


def _forget(f: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    f = sigmoid(f)
    return f * h, f


def _candidate(g: Tensor, y_f: Tensor, h: Tensor) -> Tensor:
    return y_f * tanh(g) + (1 - y_f) * h


JANET = Cell("janet", state=("h",), gates=("f", "g"), step=_janet)
"""An LSTM with a forget gate alone."""

UGRNN = Cell("ugrnn", state=("h",), gates=("g", "u"), step=_ugrnn)
"""One gate between the past and the candidate."""

MGU = Cell(
    "mgu",
    state=("h",),
    stages=(Stage(("f",), _forget, writes=("kept", "y_f")), Stage(("g",), _candidate, sees=("kept",))),
)
"""A GRU whose two gates are one."""
