"""What an option costs: our LSTM with it beside the same without, on one engine."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from karussell.bench.peers import Side, side
from karussell.bench.problem import Problem, Run, same_numbers
from karussell.cells import LSTM, Cell
from karussell.errors import EngineError
from karussell.nn import Recurrent
from karussell.ops import Engine, Noise

# name -> the layer's arguments; resets are drawn
OPTIONS: dict[str, dict[str, Any]] = {
    "resets": {},
    "zoneout": {"zoneout": 0.1},
    "dropout-seen": {"recurrent_dropout": 0.2},
    "dropout-candidate": {"recurrent_dropout": 0.2, "recurrent_dropout_on": "candidate"},
    "clip": {"state_clip": {"c": 3.0}},
    "learned-state": {"learned_state": True},
    "layer-norm": {"layer_norm": True},
    "recompute-gates": {"recompute": "gates"},
    "recompute-segments": {"recompute": "segments"},
    "4-heads": {},
    "projection": {},
    "all": {
        "zoneout": 0.1,
        "recurrent_dropout": 0.2,
        "state_clip": {"c": 3.0},
        "learned_state": True,
        "layer_norm": True,
    },
}
_RESETS = ("resets", "all")
_NOISE = Noise(1, 2)
_TOLERANCE = 2e-4


def _cell(name: str) -> Cell:
    return LSTM.with_heads(4) if name == "4-heads" else LSTM


def _layer(name: str, hidden: int, engine: Engine) -> Recurrent:
    with same_numbers():
        halved = hidden // 2 if name == "projection" else 0
        return Recurrent(_cell(name), hidden, hidden, proj_size=halved, engine=engine, **OPTIONS[name])


def _call(name: str, layer: Module, x: Tensor) -> Tensor:
    resets = None
    if name in _RESETS:
        resets = torch.rand(x.shape[:2], generator=torch.Generator().manual_seed(4)) < 0.05
    return layer(x, resets=resets, noise=_NOISE)[0]


def ours(name: str) -> Callable[[Problem, Module, Run], Side]:
    """How the side with the option is made."""

    def make(problem: Problem, plain: Module, run: Run) -> Side:  # noqa: ARG001 - one shape for all plans
        layer = _layer(name, problem.hidden, Engine.cpp)
        return side(lambda x: _call(name, layer, x), layer, problem, same=False)

    return make


def verify(name: str) -> Callable[[Problem, Engine, Run], None]:
    """The option's output and gradients against the float64 reference's, at a small size."""

    def check(problem: Problem, engine: Engine, run: Run) -> None:  # noqa: ARG001 - one shape for all plans
        found = []
        for chosen, dtype in ((engine, torch.float32), (Engine.reference, torch.float64)):
            layer = _layer(name, 16, chosen).to(dtype)
            x = Problem(LSTM, 20, 3, 16, True).x().to(dtype).requires_grad_()
            y = _call(name, layer, x)
            grads = torch.autograd.grad(y.square().sum(), [x, *layer.parameters()], allow_unused=True)
            found.append([y, *grads])
        for a, b in zip(*found, strict=True):
            if a is not None and not torch.allclose(a.double(), b, rtol=_TOLERANCE, atol=_TOLERANCE):
                raise EngineError(f"bench: {name} on engine '{engine}' is not the float64 reference")

    return check


# of the weights that a plain LSTM's step multiplies with, those of one whose output is projected to half its units
PRODUCTS = {"projection": 6.5 / 8}
SIDES = {name: (ours(name), verify(name)) for name in OPTIONS}
