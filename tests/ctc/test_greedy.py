"""Best path: labels, times, confidences."""

import math

import pytest
import torch

from karussell.ctc import Hypothesis, greedy
from karussell.errors import InputError


def planted(path: list[int], classes: int, heights: list[float]) -> torch.Tensor:
    """Log-probabilities [T, 1, K] whose likeliest label at t is path[t], with probability heights[t]."""
    rows = torch.tensor([[(1 - p) / (classes - 1)] * classes for p in heights], dtype=torch.float64)
    rows[torch.arange(len(path)), torch.tensor(path)] = torch.tensor(heights, dtype=torch.float64)
    return rows.log()[:, None]


def test_labels_times_confidences_and_score():
    heights = [0.9, 0.6, 0.8, 0.7, 0.9, 0.5, 0.95]
    log_probs = planted([0, 3, 3, 0, 3, 1, 1], 4, heights)
    (hypothesis,) = greedy(log_probs, [7], symbols="abc", frame_seconds=0.02)
    assert hypothesis.tokens == (3, 3, 1)
    assert hypothesis.text == "cca"
    assert hypothesis.starts == pytest.approx((0.02, 0.08, 0.10))
    assert hypothesis.ends == pytest.approx((0.06, 0.10, 0.14))
    assert hypothesis.confidences == pytest.approx((0.8, 0.9, 0.95))
    assert hypothesis.score == pytest.approx(sum(math.log(p) for p in heights))


def test_text_follows_the_blank_and_the_separator():
    log_probs = planted([0, 1, 2, 1, 3], 4, [0.9] * 5)
    assert greedy(log_probs, [5], symbols=["zero", "one", "three"], separator=" ", blank=2)[0].text == (
        "zero one one three"
    )
    assert greedy(log_probs, [5], blank=2)[0].text == "0 1 1 3"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_padding_changes_nothing(dtype):
    generator = torch.Generator().manual_seed(1)
    log_probs = torch.randn(12, 3, 5, generator=generator).to(dtype).log_softmax(-1)
    padded = torch.full((20, 3, 5), float("nan"), dtype=dtype)
    padded[:12] = log_probs
    padded[4:, 1] = float("nan")
    assert greedy(padded, [12, 4, 9], frame_seconds=0.01) == greedy(log_probs, [12, 4, 9], frame_seconds=0.01)
    alone = greedy(log_probs[:4, 1:2], [4], frame_seconds=0.01)
    assert greedy(log_probs, [12, 4, 9], frame_seconds=0.01)[1:2] == alone


def test_nothing_but_blanks_and_no_frames():
    nothing = Hypothesis((), "", (), (), (), 0.0)
    log_probs = planted([0, 0], 3, [0.9, 0.9])
    assert greedy(log_probs, [0]) == [nothing]
    assert greedy(log_probs, [2])[0].tokens == ()
    assert greedy(torch.zeros(4, 0, 3), []) == []


def test_ties_go_to_the_smaller_label():
    assert greedy(torch.full((3, 1, 4), 0.25).log(), [3])[0].tokens == ()
    assert greedy(torch.full((3, 1, 4), 0.25).log(), [3], blank=3)[0].tokens == (0,)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"log_probs": torch.zeros(3, 4), "lengths": [3]}, r"log_probs is \[3, 4\]"),
        (
            {"log_probs": torch.zeros(3, 1, 4), "lengths": [4]},
            r"lengths is \[4\]; it must be 1 numbers from 0 to 3",
        ),
        ({"log_probs": torch.zeros(3, 1, 4), "lengths": [3, 3]}, "must be 1 numbers"),
        ({"log_probs": torch.zeros(3, 1, 4), "lengths": [3], "blank": 4}, "blank is 4"),
        (
            {"log_probs": torch.zeros(3, 1, 4), "lengths": [3], "symbols": "abcd"},
            "4 symbols came for 4 classes",
        ),
        (
            {"log_probs": torch.full((3, 1, 4), float("nan")), "lengths": [3]},
            "utterance 0 holds NaN at frame 0",
        ),
    ],
)
def test_refused_in_a_sentence(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        greedy(**arguments)


def test_hypothesis_needs_one_entry_a_label():
    with pytest.raises(ValueError, match="2 tokens, 1 starts"):
        Hypothesis((1, 2), "ab", (0.0,), (0.1, 0.2), (0.9, 0.9), 0.0)
