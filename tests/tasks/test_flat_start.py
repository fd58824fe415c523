"""The labels of the flat start: true places where they are known, loudness where not."""

import torch
from torch import Tensor

from karussell.data.batches import PASSED_OVER, Batch
from karussell.tasks.flat_start import AlignedEpoch, frame_loss, spread


def batch(x: Tensor, lengths: list[int], targets: list[list[int]], alignment: Tensor | None = None) -> Batch:
    return Batch(
        x=x,
        lengths=torch.tensor(lengths),
        targets=torch.nn.utils.rnn.pad_sequence([torch.tensor(target) for target in targets], batch_first=True),
        target_lengths=torch.tensor([len(target) for target in targets]),
        alignment=alignment,
        names=tuple("uv"[: len(lengths)]),
    )


def test_known_places_are_thinned_out_like_the_network_does() -> None:
    alignment = torch.arange(10)[:, None]
    epoch = AlignedEpoch([batch(torch.zeros(10, 1, 3), [10], [[1, 2]], alignment)], 4, 0)
    assert epoch[0].labels[:, 0].tolist() == [0, 4, 8]
    assert epoch[:1][0].labels.shape == (3, 1)
    assert len(epoch) == 1


def test_unknown_places_are_spread_over_the_loud_frames() -> None:
    x = torch.tensor([0.0, 0, 5, 5, 5, 0, 5, 5, 5, 0])[:, None, None].expand(10, 2, 3)
    labels = spread(batch(x, [10, 6], [[1, 2, 1], [2]]), 0)
    assert labels[:, 0].tolist() == [0, 0, 1, 1, 2, 0, 2, 1, 1, 0]
    assert labels[:6, 1].tolist()[2:5] == [2, 2, 2]
    assert labels[6:, 1].tolist() == [PASSED_OVER] * 4


def test_the_loss_passes_over_unknown_frames() -> None:
    log_probs = torch.randn(4, 2, 3).log_softmax(-1)
    gone = PASSED_OVER
    labels = torch.tensor([[0, 1], [2, gone], [1, gone], [gone, gone]])
    known = [(0, 0, 0), (1, 0, 2), (2, 0, 1), (0, 1, 1)]
    expected = -sum(log_probs[t, b, k] for t, b, k in known) / 4
    torch.testing.assert_close(frame_loss(log_probs, labels), expected)
