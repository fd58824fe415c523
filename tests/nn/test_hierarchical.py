"""Hierarchical CTC: its equations, the error that flows down, and that two levels learn a two-level language."""

import pytest
import torch

from karussell.ctc import ctc_loss
from karussell.errors import InputError
from karussell.nn.hierarchical import HierarchicalCTC, Level

LENGTHS = [7, 5]
TARGETS = ([[1, 2, 3], [3, 3]], [[1], [2]])


def network(*levels: Level, inputs: int = 4) -> HierarchicalCTC:
    torch.manual_seed(0)
    return HierarchicalCTC(inputs, levels or (Level(3, 6), Level(2, 5, weight=0.5)))


def test_a_level_reads_the_probabilities_of_the_one_below():
    net, x = network(), torch.randn(7, 2, 4)
    below, above = net(x, LENGTHS)
    assert (below.shape, above.shape) == ((7, 2, 4), (7, 2, 3))
    h = net.lstms[0](x, lengths=LENGTHS)[0]
    torch.testing.assert_close(below, net.outputs[0](h).log_softmax(-1))
    h = net.lstms[1](below.exp(), lengths=LENGTHS)[0]
    torch.testing.assert_close(above, net.outputs[1](h).log_softmax(-1))


def test_losses_are_summed_by_weight_and_flow_down():
    net, x = network(), torch.randn(7, 2, 4)
    found = net(x, LENGTHS)
    total, losses = net.loss(found, TARGETS, LENGTHS)
    for level, lp, target in zip(losses, found, TARGETS, strict=True):
        torch.testing.assert_close(level, ctc_loss(lp, target, LENGTHS))
    torch.testing.assert_close(total, losses[0] + 0.5 * losses[1])
    losses[1].backward()
    assert net.lstms[0].weight_ih_l0.grad.abs().max() > 0


def test_frames_beyond_a_length_change_nothing():
    net, x = network(), torch.randn(7, 2, 4)
    garbage = x.clone()
    garbage[5:, 1] = 1e3
    for a, b in zip(net(x, LENGTHS), net(garbage, LENGTHS), strict=True):
        torch.testing.assert_close(a[:5], b[:5])
    both = (net.loss(net(v, LENGTHS), TARGETS, LENGTHS).total for v in (x, garbage))
    torch.testing.assert_close(*both)


def test_a_level_may_have_no_targets():
    net, x = network(Level(3, 6, weight=0.0), Level(2, 5)), torch.randn(7, 2, 4)
    found = net(x, LENGTHS)
    total, losses = net.loss(found, (None, TARGETS[1]), LENGTHS, reduction="none")
    assert losses[0].tolist() == [0, 0]
    assert torch.equal(total, losses[1])
    with pytest.raises(InputError, match=r"level 1 has no targets, but its weight is 1\.0"):
        net.loss(found, (TARGETS[0], None), LENGTHS)


def test_refused_in_a_sentence():
    net, x = network(), torch.randn(7, 2, 4)
    with pytest.raises(InputError, match="1 targets came for 2 levels"):
        net.loss(net(x, LENGTHS), TARGETS[:1], LENGTHS)
    with pytest.raises(InputError, match="levels is empty"):
        HierarchicalCTC(4, [])
    with pytest.raises(InputError, match="labels is 0"):
        Level(0)


def test_two_levels_learn_together():
    """Letters below, words above: word 1 is letters 1 2, word 2 is 2 1; both losses fall."""
    generator = torch.Generator().manual_seed(1)
    words = torch.randint(1, 3, (16, 2), generator=generator).tolist()
    spelt = [[k for w in row for k in ((1, 2) if w == 1 else (2, 1))] for row in words]
    x = torch.zeros(16, 16, 2)
    for b, letters in enumerate(spelt):
        for place, letter in enumerate(letters):
            x[4 * place + 1, b, letter - 1] = 1
    net = network(Level(2, 8), Level(2, 8), inputs=2)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    course = []
    for _ in range(120):
        total, losses = net.loss(net(x, [16] * 16), (spelt, words), [16] * 16)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        course.append([float(v.detach()) for v in losses])
    assert course[-1][0] < 0.2 * course[0][0]
    assert course[-1][1] < 0.5 * course[0][1]
