"""torch.export: one graph with dynamic time and batch, run at sizes never seen, saved, and read by another process."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram, export, load, save

from karussell import cells, nn
from karussell.ops import watch


class Net(torch.nn.Module):
    """A layer called with lengths."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, lengths: Tensor):
        """What the layer gives."""
        return self.layer(x, lengths=lengths)


def exported(net: torch.nn.Module) -> ExportedProgram:
    steps, batch = Dim("steps", min=1, max=5000), Dim("batch", min=1, max=512)
    example = (torch.randn(7, 3, 5), torch.tensor([7, 1, 3]))
    return export(net, example, dynamic_shapes=({0: steps, 1: batch}, {0: batch}))


LAYERS = {
    "lstm": lambda: nn.LSTM(5, 6, 2, bidirectional=True, engine="cpp"),
    "gru": lambda: nn.GRU(5, 6, engine="cpp"),
    "peepholes": lambda: nn.Recurrent(cells.PeepholeLSTM, 5, 6, 2, bidirectional=True),
    "start": lambda: nn.Recurrent(cells.MinLSTM, 5, 6, learned_state=True, engine="cpp"),
    "norm": lambda: nn.Recurrent(cells.LSTM, 5, 6, layer_norm=True, zoneout=0.1).eval(),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_at_sizes_never_seen(kind):
    net = Net(LAYERS[kind]())
    program = exported(net)
    graph = program.module()
    for steps, batch in ((2, 2), (19, 4), (300, 17), (1, 1)):
        x, lengths = torch.randn(steps, batch, 5), torch.randint(0, steps + 1, (batch,))
        with watch() as ran:
            found = graph(x, lengths)
        assert set(ran) == {"cpp"}
        y, state = net(x, lengths)
        got_y, got_state = found
        state, got_state = ((s,) if isinstance(s, Tensor) else tuple(s) for s in (state, got_state))
        for a, b in zip((got_y, *got_state), (y, *state), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_a_graph_has_gradients():
    net = Net(LAYERS["peepholes"]())
    graph = exported(net).module()
    x, lengths = torch.randn(11, 4, 5, requires_grad=True), torch.tensor([11, 0, 4, 7])
    found = torch.autograd.grad(graph(x, lengths)[0].square().sum(), x)
    torch.testing.assert_close(found, torch.autograd.grad(net(x, lengths)[0].square().sum(), x))


def test_lengths_that_do_not_fit_are_found_when_it_runs():
    net = Net(LAYERS["gru"]())
    graph = exported(net).module()
    with pytest.raises(ValueError, match="lengths run from 1 to 9, but x has 4 steps"):
        graph(torch.randn(4, 2, 5), torch.tensor([1, 9]))


ELSEWHERE = """
import sys, torch
import karussell.ops
x, lengths, y = torch.load(sys.argv[2], weights_only=True)
found = torch.export.load(sys.argv[1]).module()(x, lengths)[0]
torch.testing.assert_close(found, y, rtol=1e-6, atol=1e-6)
"""


def test_a_saved_graph_runs_in_another_process(tmp_path):
    net = Net(LAYERS["gru"]())
    save(exported(net), tmp_path / "net.pt2")
    x, lengths = torch.randn(23, 6, 5), torch.randint(0, 24, (6,))
    y = net(x, lengths)[0].detach()
    torch.testing.assert_close(load(tmp_path / "net.pt2").module()(x, lengths)[0], y, rtol=1e-6, atol=1e-6)
    torch.save((x, lengths, y), tmp_path / "case.pt")
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "net.pt2"), str(tmp_path / "case.pt")]
    subprocess.run(command, check=True, timeout=300)
