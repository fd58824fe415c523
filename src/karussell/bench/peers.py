"""What ours is compared with. A peer that is not installed gives None, and its rows say "not measured"."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from karussell.bench import own
from karussell.bench.problem import Problem, job, with_engine
from karussell.cells import GRU, LSTM, Cell, IndRNN, PeepholeLSTM
from karussell.ops import Engine


class Side(NamedTuple):
    """One side of a comparison: what is timed, and what it computes where that should be what ours does."""

    call: Callable[[], object]
    output: Callable[[], Tensor] | None


Make = Callable[[Problem, Module], Side | None]


@dataclass(frozen=True)
class Peer:
    """A peer's name, how its side is made from the problem and our layer's weights, and how its time is scaled.

    group: the rows stand in another group than the plan's.
    """

    name: str
    make: Make
    scale: float = 1.0
    group: str | None = None


def installed(package: str) -> ModuleType | None:
    """The package, or None."""
    try:
        return import_module(package)
    except ImportError:
        return None


def side(forward: Callable[[Tensor], Tensor], module: Module, problem: Problem, same: bool = True) -> Side:
    """A module's side; `same`: it computes what our layer does."""
    x = problem.x()

    def output() -> Tensor:
        with torch.no_grad():
            return forward(x)

    return Side(job(forward, module, x, problem.training), output if same else None)


def torch_layer(problem: Problem, ours: Module) -> Side:
    """torch.nn.LSTM or GRU with the same weights; ragged rows go through a PackedSequence."""
    made = {LSTM: torch.nn.LSTM, GRU: torch.nn.GRU}[problem.cell]
    theirs = made(problem.hidden, problem.hidden)
    theirs.load_state_dict(ours.state_dict())
    lengths = problem.lengths()

    def forward(x: Tensor) -> Tensor:
        if lengths is None:
            return theirs(x)[0]
        packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
        return pad_packed_sequence(theirs(packed)[0], total_length=problem.steps)[0]

    return side(forward, theirs, problem)


def eager_loop(problem: Problem, ours: Module) -> Side:
    """The same layer on the reference engine: one torch operation after another."""
    return _forced(problem, ours, Engine.reference)


def forced_cpp(problem: Problem, ours: Module) -> Side:
    """The same layer with the compiled engine forced."""
    return _forced(problem, ours, Engine.cpp)


def forced_vendor(problem: Problem, ours: Module) -> Side:
    """The same layer with torch's kernel forced."""
    return _forced(problem, ours, Engine.vendor)


def _forced(problem: Problem, ours: Module, engine: Engine) -> Side:
    theirs = with_engine(ours, engine)
    lengths = problem.lengths()
    return side(lambda x: theirs(x)[0] if lengths is None else theirs(x, lengths=lengths)[0], theirs, problem)


def our_lstm(problem: Problem, ours: Module) -> Side:
    """Our own plain LSTM of the same sizes on the same engine."""
    assert isinstance(ours.engine, Engine)
    theirs = replace(problem, cell=LSTM).layer(ours.engine)
    return side(lambda x: theirs(x)[0], theirs, problem, same=False)


TORCHRECURRENT: dict[Cell, str] = {
    PeepholeLSTM: "PeepholeLSTM",
    IndRNN: "IndRNN",
    own.JANET: "JANET",
    own.UGRNN: "UGRNN",
    own.MGU: "MGU",
}
"""Our cells and the layers of torchrecurrent that compute the same."""


def torchrecurrent(problem: Problem, ours: Module) -> Side | None:
    """The layer of torchrecurrent with the same weights."""
    package = installed("torchrecurrent")
    if package is None:
        return None
    made = getattr(package, TORCHRECURRENT[problem.cell])
    nonlinearity = {"nonlinearity": "relu"} if problem.cell == IndRNN else {}
    theirs = made(problem.hidden, problem.hidden, **nonlinearity)
    cell, weights = theirs.cells[0], ours.layers[0].weights()  # type: ignore[index, union-attr, operator]
    with torch.no_grad():
        cell.weight_ih.copy_(weights.w)
        cell.bias_ih.copy_(weights.b)
        cell.bias_hh.zero_()
        if weights.r:
            cell.weight_hh.copy_(torch.cat(weights.r))
        for name in ("weight_ph", "vector_u"):
            if hasattr(cell, name):
                vectors = torch.cat([weights.units[n] for n in problem.cell.units])
                getattr(cell, name).copy_(vectors.view_as(getattr(cell, name)))
    return side(lambda x: theirs(x)[0], theirs, problem)
