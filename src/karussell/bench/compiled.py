"""Layers under torch.compile: ours in one graph, beside ours without it and beside a compiled Python loop."""

import torch
from torch import Tensor
from torch.nn import Module

from karussell.bench import parity, peers
from karussell.bench.peers import Peer, Side
from karussell.bench.problem import Problem, Run, with_engine
from karussell.ops import Engine


def ours(problem: Problem, layer: Module, run: Run) -> Side:
    """The layer compiled whole: fullgraph, so that a break is an error."""
    # graphs of other layers through the same line count against a limit
    torch.compiler.reset()
    lengths = problem.lengths()
    call = torch.compile(lambda x: run(layer, x, lengths)[0], fullgraph=True)
    return peers.side(call, layer, problem)


def verify(problem: Problem, engine: Engine, run: Run) -> None:
    """The graph against the float64 reference: values and gradients."""

    torch.compiler.reset()

    def compiled(layer: Module, x: Tensor, lengths: Tensor | None) -> tuple:
        return torch.compile(lambda x, n: run(layer, x, n), fullgraph=True)(x, lengths)

    parity.verify(parity.family(problem), engine, compiled)


def loop(problem: Problem, layer: Module) -> Side:
    """What torch.compile makes of a step after a step in Python: all steps in one graph, for one length."""
    theirs = with_engine(layer, Engine.reference)
    lengths = problem.lengths()
    call = torch.compile(lambda x: (theirs(x) if lengths is None else theirs(x, lengths=lengths))[0], dynamic=False)
    return peers.side(call, theirs, problem)


EAGER = Peer("ours, not compiled", peers.forced_cpp)
LOOP = Peer("compiled Python loop", loop, group="compile-loop")
"""In a group of its own: few steps, for its graph grows with them."""
