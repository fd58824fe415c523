"""The loss against enumeration of all paths, its gradient, and what happens at the edges."""

import warnings
from itertools import groupby, pairwise, product

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from karussell.ctc import ctc_loss, ctc_loss_rows
from karussell.errors import InputError

LOSS_TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
NEVER = torch.finfo(torch.float32).max


def logits(frames: int, batch: int, classes: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(frames, batch, classes, generator=generator, dtype=dtype)


def collapse(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    """Merge repeats, then drop blanks."""
    return tuple(label for label, _ in groupby(path) if label != blank)


def loss_by_enumeration(log_probs: Tensor, target: tuple[int, ...], blank: int) -> Tensor:
    """CTC by its definition: -log of the sum over every path [T, K] that collapses to the target."""
    frames, classes = log_probs.shape
    paths = [path for path in product(range(classes), repeat=frames) if collapse(path, blank) == target]
    return -log_probs[torch.arange(frames), torch.tensor(paths)].sum(-1).logsumexp(0)


def fits(target: tuple[int, ...], frames: int) -> bool:
    return len(target) + sum(a == b for a, b in pairwise(target)) <= frames


@pytest.mark.parametrize("blank", [0, 1, 2])
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 6])
def test_loss_and_gradient_equal_the_sum_over_all_paths(frames, blank):
    """Every target of up to 3 labels that fits, in one batch, with unequal upstream gradients."""
    labels = [k for k in range(3) if k != blank]
    targets = [t for n in range(4) for t in product(labels, repeat=n) if fits(t, frames)]
    x = logits(frames, len(targets), 3).requires_grad_()
    weights = torch.linspace(-1, 2, len(targets), dtype=x.dtype)
    losses = ctc_loss(x.log_softmax(-1), targets, [frames] * len(targets), blank=blank, reduction="none")
    (gradient,) = torch.autograd.grad(losses @ weights, x)

    y = x.detach().clone().requires_grad_()
    by_path = y.log_softmax(-1).unbind(1)
    oracle = torch.stack([loss_by_enumeration(p, t, blank) for p, t in zip(by_path, targets, strict=True)])
    (expected,) = torch.autograd.grad(oracle @ weights, y)
    torch.testing.assert_close(losses, oracle, rtol=0, atol=LOSS_TOLERANCE[x.dtype])
    torch.testing.assert_close(gradient, expected, rtol=0, atol=LOSS_TOLERANCE[x.dtype])


def test_gradient_passes_gradcheck_through_log_softmax():
    targets, frames = [[1, 1], [2], []], [5, 3, 4]
    x = logits(5, 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ctc_loss(x.log_softmax(-1), targets, frames, reduction="none"), x)


def test_probabilities_of_all_targets_add_up_to_one():
    frames, classes = 4, 3
    targets = [t for n in range(frames + 1) for t in product((1, 2), repeat=n) if fits(t, frames)]
    log_probs = logits(frames, 1, classes).log_softmax(-1).expand(-1, len(targets), -1)
    total = ctc_loss(log_probs, targets, [frames] * len(targets), reduction="none").neg().exp().sum()
    assert abs(float(total) - 1) < 1e-12


def test_three_forms_of_targets_are_one():
    log_probs = logits(6, 3, 4).log_softmax(-1)
    rows, lengths, frames = [[1, 2, 2], [3], [2, 1]], [3, 1, 2], [6, 4, 5]
    padded = torch.tensor([[1, 2, 2, 0], [3, 99, -7, 0], [2, 1, 0, 0]], dtype=torch.int32)
    concatenated = torch.tensor([1, 2, 2, 3, 2, 1])
    expected = ctc_loss(log_probs, rows, frames)
    assert torch.equal(ctc_loss(log_probs, [torch.tensor(r) for r in rows], torch.tensor(frames)), expected)
    assert torch.equal(ctc_loss(log_probs, padded, frames, lengths), expected)
    assert torch.equal(ctc_loss(log_probs, concatenated, frames, torch.tensor(lengths)), expected)
    assert torch.equal(ctc_loss(log_probs, rows, frames, lengths), expected)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions_are_those_of_torch(reduction):
    log_probs = logits(6, 3, 4).log_softmax(-1)
    targets, lengths, frames = torch.tensor([[1, 2], [3, 0], [0, 0]]), torch.tensor([2, 1, 0]), torch.tensor([6, 4, 5])
    expected = functional.ctc_loss(log_probs, targets, frames, lengths, reduction=reduction)
    # another summation than torch's: equal up to rounding
    ours = ctc_loss(log_probs, targets, frames, lengths, reduction=reduction)
    torch.testing.assert_close(ours, expected, rtol=0, atol=LOSS_TOLERANCE[ours.dtype])


def test_frames_beyond_the_length_change_nothing_and_get_no_gradient():
    targets, frames = [[1, 2], [3], [2, 2]], [4, 2, 3]
    x = logits(4, 3, 4).log_softmax(-1)
    padded = torch.full((9, 3, 4), NEVER, dtype=x.dtype)
    padded[:4] = x
    padded[2:, 1], padded[3:, 2] = float("nan"), 5.0
    x.requires_grad_()
    padded.requires_grad_()
    losses = ctc_loss(x, targets, frames, reduction="none")
    same = ctc_loss(padded, targets, frames, reduction="none")
    assert torch.equal(losses, same)
    (expected,) = torch.autograd.grad(losses.sum(), x)
    (gradient,) = torch.autograd.grad(same.sum(), padded)
    assert torch.equal(gradient[:4], expected)
    assert not gradient[4:].any()
    assert not gradient[2:, 1].any()
    assert not gradient[3:, 2].any()


def test_empty_target_is_a_path_of_blanks():
    log_probs = logits(5, 2, 3).log_softmax(-1)
    losses = ctc_loss(log_probs, [[], []], [5, 0], blank=2, reduction="none")
    torch.testing.assert_close(losses[0], -log_probs[:, 0, 2].sum())
    assert losses[1] == 0


def test_one_frame():
    log_probs = logits(1, 2, 3).log_softmax(-1)
    losses = ctc_loss(log_probs, [[2], []], [1, 1], reduction="none")
    torch.testing.assert_close(losses, -log_probs[0, [0, 1], [2, 0]])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    x = logits(20, 2, 5, torch.float32).to(dtype).requires_grad_()
    loss = ctc_loss(x.log_softmax(-1), [[1, 2], [3]], [20, 15])
    loss.backward()
    assert loss.dtype == torch.float32
    assert x.grad is not None
    assert x.grad.dtype == dtype
    expected = ctc_loss(x.detach().log_softmax(-1).float().log_softmax(-1), [[1, 2], [3]], [20, 15])
    torch.testing.assert_close(loss.detach(), expected, rtol=1e-2, atol=0)


def test_target_is_not_changed_and_lengths_neither():
    targets, lengths, frames = torch.tensor([[1, 2], [3, 0]]), torch.tensor([2, 1]), torch.tensor([5, 5])
    copies = targets.clone(), lengths.clone(), frames.clone()
    ctc_loss(logits(5, 2, 4).log_softmax(-1), targets, frames, lengths)
    assert all(torch.equal(a, b) for a, b in zip((targets, lengths, frames), copies, strict=True))


class TestImpossible:
    targets = ((1, 1, 1), (1, 2), (3, 3))
    frames = (4, 4, 3)
    names = ("first", "second", "third")

    def test_raise_names_the_utterance_and_the_frames(self):
        with pytest.raises(InputError, match=r"utterance 0 \('first'\) has 4 frames.* 3 labels .* needs 5"):
            ctc_loss(logits(4, 3, 4).log_softmax(-1), self.targets, self.frames, names=self.names)

    def test_without_names_the_row_is_told(self):
        with pytest.raises(InputError, match=r"utterance 0 has 4 frames"):
            ctc_loss(logits(4, 3, 4).log_softmax(-1), self.targets, self.frames)

    def test_how_many_others_is_told(self):
        with pytest.raises(InputError, match=r"and 1 more in this batch"):
            ctc_loss(logits(4, 3, 4).log_softmax(-1), self.targets, (4, 4, 2))

    @pytest.mark.parametrize("mode", ["warn", "zero"])
    def test_row_has_no_loss_and_no_gradient_and_the_others_theirs(self, mode):
        x = logits(4, 3, 4).requires_grad_()
        if mode == "warn":
            with pytest.warns(RuntimeWarning, match="utterance 0 .*'first'.* needs 5"):
                result = ctc_loss_rows(
                    x.log_softmax(-1), self.targets, self.frames, impossible="warn", names=self.names
                )
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                result = ctc_loss_rows(x.log_softmax(-1), self.targets, self.frames, impossible="zero")
        assert result.impossible.tolist() == [True, False, False]
        assert result.losses[0] == 0
        (gradient,) = torch.autograd.grad(result.losses.sum(), x)
        assert not gradient[:, 0].any()

        y = x.detach()[:, 1:].clone().requires_grad_()
        alone = ctc_loss(y.log_softmax(-1), self.targets[1:], self.frames[1:], reduction="none")
        assert torch.equal(result.losses[1:], alone)
        (expected,) = torch.autograd.grad(alone.sum(), y)
        assert torch.equal(gradient[:, 1:], expected)

    def test_mask_is_all_false_where_every_target_fits(self):
        result = ctc_loss_rows(logits(5, 3, 4).log_softmax(-1), self.targets, (5, 5, 5))
        assert result.impossible.tolist() == [False, False, False]

    def test_no_frames_and_a_label_is_impossible(self):
        result = ctc_loss_rows(logits(4, 2, 4).log_softmax(-1), [[1], [1]], [0, 4], impossible="zero")
        assert result.impossible.tolist() == [True, False]

    def test_probability_zero_counts_too(self):
        x = logits(4, 2, 4)
        x[:, 1, 2] = float("-inf")
        with pytest.raises(InputError, match=r"exactly 0 leave no path through utterance 1 \('b'\)"):
            ctc_loss(x.log_softmax(-1), [[2], [2]], [4, 4], names=["a", "b"])
        x.requires_grad_()
        result = ctc_loss_rows(x.log_softmax(-1), [[2], [2]], [4, 4], impossible="zero")
        assert result.impossible.tolist() == [False, True]
        (gradient,) = torch.autograd.grad(result.losses.sum(), x)
        assert not gradient[:, 1].any()
        assert gradient.isfinite().all()
