"""The networks of the 1997 paper and its successors, built from our parts, have the published number of weights."""

import pytest
import torch
from torch import Tensor, nn

from karussell import cells
from karussell.cells import Cell
from karussell.nn import Recurrent


class Net(nn.Module):
    """A recurrent layer, and outputs that see its cells, the inputs too where there are short-cuts."""

    def __init__(self, layer: Recurrent, outputs: int, *, output_bias: bool, short_cuts: bool = False):
        super().__init__()
        self.layer, self.short_cuts = layer, short_cuts
        self.out = nn.Linear(layer.output_size + short_cuts * layer.input_size, outputs, bias=output_bias)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.layer(x)
        return torch.sigmoid(self.out(torch.cat([y, x], -1) if self.short_cuts else y))


def input_gate_only(i: Tensor, g: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    s = s + torch.sigmoid(i) * torch.sigmoid(g)
    return s, s


# experiment 2a: a cell with an input gate and its carousel, g in [0, 1], h the identity, nothing fed back
BARE = Cell("bare_1997", state=("h", "s"), gates=("i", "g"), step=input_gate_only, sees=())


def blocks(inputs: int, count: int, size: int, bias=("i", "o", "g"), cell=cells.LSTM1997) -> Recurrent:
    return Recurrent(cell.with_blocks(size), inputs, count * size, bias=bias, engine="reference")


GATES = ("i", "o")
NETS = {
    "1_embedded_reber_4x1": (264, lambda: Net(blocks(7, 4, 1, GATES), 7, output_bias=False)),
    "1_embedded_reber_3x2": (276, lambda: Net(blocks(7, 3, 2, GATES), 7, output_bias=False)),
    "2a_noise_free": (
        10_504,
        lambda: Net(Recurrent(BARE, 101, 1, bias=False, engine="reference"), 101, output_bias=False, short_cuts=True),
    ),
    "2c_p50": (364, lambda: Net(blocks(54, 2, 1, False), 2, output_bias=False)),
    "2c_p100": (664, lambda: Net(blocks(104, 2, 1, False), 2, output_bias=False)),
    "2c_p200": (1_264, lambda: Net(blocks(204, 2, 1, False), 2, output_bias=False)),
    "2c_p500": (3_064, lambda: Net(blocks(504, 2, 1, False), 2, output_bias=False)),
    "2c_p1000": (6_064, lambda: Net(blocks(1004, 2, 1, False), 2, output_bias=False)),
    "3_two_sequences": (102, lambda: Net(blocks(1, 3, 1), 1, output_bias=False)),
    "4_adding_5_multiplication": (93, lambda: Net(blocks(2, 2, 2), 1, output_bias=True)),
    "6a_temporal_order": (156, lambda: Net(blocks(8, 2, 2), 4, output_bias=True)),
    "6b_temporal_order": (308, lambda: Net(blocks(8, 3, 2), 8, output_bias=True)),
    "continual_embedded_reber": (
        424,
        lambda: Net(blocks(7, 4, 2, ("i", "f", "o"), cells.LSTM), 7, output_bias=True, short_cuts=True),
    ),
    "peephole_timing": (
        17,
        lambda: Net(Recurrent(cells.PeepholeLSTM, 1, 1, engine="reference"), 1, output_bias=True),
    ),
}


@pytest.mark.parametrize(("count", "build"), NETS.values(), ids=NETS)
def test_published_weight_count(count, build):
    net = build()
    assert sum(p.numel() for p in net.parameters()) == count
    y = net(torch.randn(3, 2, net.layer.input_size))
    assert y.isfinite().all()
    assert all(g is not None for g in torch.autograd.grad(y.sum(), list(net.parameters())))
