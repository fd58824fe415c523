"""How the weights of a layer are filled.

Every matrix and bias is uniform between -1/sqrt(H) and 1/sqrt(H), drawn in the order w, r, biases, p; a bias is the sum
of two draws, because torch's layers have two. So the same seed gives the same net as `torch.nn.LSTM`, `GRU` and `RNN`.
Unit vectors have the values their cell declares, gains of layer norm are 1, learned initial states 0. After that come
what the user asks for: functions for the input and the recurrent matrices, gate by gate, and biases, gate by gate.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import init

from karussell.cells.cell import Vector
from karussell.nn.layer import Layer, vector

Init = Callable[[Tensor], object]
"""Fills a matrix in place, as the functions of torch.nn.init do."""


@torch.no_grad()
def fill(
    layer: Layer,
    gate_bias: Mapping[str, Vector],
    init_input: Init | Mapping[str, Init] | None,
    init_recurrent: Init | Mapping[str, Init] | None,
) -> None:
    """Fill all weights of a layer."""
    bound = 1 / math.sqrt(layer.hidden)
    matrices = [getattr(layer, n) for n in layer.names("r")]
    for matrix in (layer.w, *matrices):
        init.uniform_(matrix, -bound, bound)
    _biases(layer, gate_bias, bound)
    if layer.p is not None:
        init.uniform_(layer.p, -bound, bound)
    for name, value in layer.cell.units.items():
        layer.units[name].copy_(vector(value, layer.hidden))
    for gain in (layer.norm_x, *(getattr(layer, n) for n in layer.names("norm_r") if layer.norm_x is not None)):
        if gain is not None:
            gain.fill_(1.0)
    for start in layer.start.values():
        start.zero_()
    layer.tell_constants()
    if init_input is not None:
        _apply(init_input, _parts(layer, layer.w, layer.cell.fed))
    if init_recurrent is not None:
        for stage, matrix in zip((s for s in layer.cell.stages if s.sees), matrices, strict=True):
            _apply(init_recurrent, _parts(layer, matrix, stage.gates))


def _biases(layer: Layer, gate_bias: Mapping[str, Vector], bound: float) -> None:
    cell, hidden = layer.cell, layer.hidden
    if layer.b is None:
        return
    # two draws for every gate, whether it has a bias or not: what is drawn does not depend on the choice
    size = sum(cell.width(q, hidden) for q in cell.gates)
    first, second = (layer.b.new_empty(size).uniform_(-bound, bound) for _ in range(2))
    own = dict(_parts(layer, layer.b, layer.biased))
    apart = {} if layer.b_r is None else dict(_parts(layer, layer.b_r, layer.biased_r))
    for (gate, x), (_, h) in zip(_parts(layer, first, cell.gates), _parts(layer, second, cell.gates), strict=True):
        if gate not in own:
            continue
        if gate in gate_bias:
            own[gate].copy_(vector(gate_bias[gate], len(x)))
            if gate in apart:
                apart[gate].zero_()
        elif gate in apart:
            own[gate].copy_(x)
            apart[gate].copy_(h)
        else:
            own[gate].copy_(x + h)


def _parts(layer: Layer, weight: Tensor, gates: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
    """The rows of each gate."""
    widths = [layer.cell.width(q, layer.hidden) for q in gates]
    return zip(gates, weight.split(widths), strict=True)


def _apply(chosen: Init | Mapping[str, Init], parts: Iterator[tuple[str, Tensor]]) -> None:
    for gate, part in parts:
        function = chosen.get(gate) if isinstance(chosen, Mapping) else chosen
        if function is not None:
            function(part)
