"""Every input that torch would take without a word is refused in one sentence that names the utterance."""

import pytest
import torch

from karussell.ctc import ctc_loss
from karussell.errors import InputError

LOG_PROBS = torch.zeros(5, 2, 4).log_softmax(-1)
NAMES = ("anna", "berta")
GOOD = {"targets": [[1, 2], [3]], "input_lengths": [5, 4]}


def padded(*rows: list[int]) -> dict[str, torch.Tensor]:
    return {"targets": torch.tensor(rows)}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"targets": [[1, 2], [3, 4]]}, r"label 4 at place 1 of the target of utterance 1 \('berta'\) .*0 to 3"),
        ({"targets": [[1, -1], [3]]}, r"label -1 at place 1 of the target of utterance 0 \('anna'\) .*0 to 3"),
        ({"targets": [[1], [3, 0]]}, r"label 0 at place 1 of the target of utterance 1 \('berta'\) is the blank"),
        ({"targets": [[0], [2]], "blank": 2}, r"label 2 at place 0 .*utterance 1 \('berta'\) is the blank"),
        ({"input_lengths": [5, 6]}, r"input_lengths of utterance 1 \('berta'\) is 6; but log_probs has 5 frames"),
        ({"input_lengths": [-1, 5]}, r"input_lengths of utterance 0 \('anna'\) is -1; it cannot be negative"),
        ({"input_lengths": [5]}, r"input_lengths is \[1\]; it must be \[2\]"),
        ({"input_lengths": [5.0, 5.0]}, "input_lengths is torch.float32; it must hold integers"),
        ({"targets": [[1]]}, "1 targets came for a batch of 2"),
        ({"targets": [[1.0], [2.0]]}, r"the target of utterance 0 \('anna'\) is torch.float32"),
        ({"targets": [[[1]], [[2]]]}, r"the target of utterance 0 \('anna'\) is \[1, 1\]; it must be \[L\]"),
        ({"target_lengths": [2, 2]}, r"utterance 1 \('berta'\) has 1 labels, but target_lengths says 2"),
        (padded([1, 2], [3, 0]), r"target_lengths \[B\] is needed"),
        (padded([1, 2], [3, 0]) | {"target_lengths": [2, 3]}, r"utterance 1 \('berta'\) is 3; .* padded to 2"),
        (padded([1, 2], [3, 0], [1, 1]) | {"target_lengths": [2, 2]}, r"targets is \[3, 2\]; it must be a list"),
        ({"targets": torch.tensor([1, 2, 3]), "target_lengths": [2, 2]}, "hold 3 labels, but .* add up to 4"),
        ({"targets": torch.tensor([1, 2, 3]), "target_lengths": [4, -1]}, r"utterance 0 \('anna'\) is 4; but"),
        ({"targets": torch.ones(2, 2), "target_lengths": [2, 2]}, "targets is torch.float32; it must hold integers"),
        ({"blank": 4}, "blank is 4, but log_probs has 4 classes"),
        ({"blank": -1}, "blank is -1"),
        ({"names": ["anna"]}, "1 names came for a batch of 2"),
        ({"reduction": "median"}, "reduction is 'median'"),
        ({"impossible": "ignore"}, "impossible is 'ignore'"),
        ({"log_probs": torch.zeros(5, 0, 4), "targets": [], "input_lengths": []}, r"the batch is empty \(B = 0\)"),
        ({"log_probs": torch.zeros(0, 2, 4)}, r"no frame \(T = 0\)"),
        ({"log_probs": torch.zeros(5, 4)}, r"log_probs is \[5, 4\] .* must be floating-point \[T, B, K\]"),
        ({"log_probs": torch.zeros(5, 2, 4, dtype=torch.int64)}, "must be floating-point"),
        ({"log_probs": torch.zeros(5, 2, 4)}, r"first frame of utterance 0 \('anna'\) sum to 4, .*log_softmax"),
        ({"log_probs": torch.full((5, 2, 4), 0.25)}, "log_softmax"),
    ],
)
def test_refused_in_a_sentence(change, sentence):
    arguments = {"log_probs": LOG_PROBS, "names": NAMES, **GOOD, **change}
    with pytest.raises(InputError, match=sentence) as caught:
        ctc_loss(**arguments)
    assert str(caught.value).startswith("ctc_loss: ")
    assert str(caught.value).endswith(".")


def test_good_input_passes():
    assert torch.isfinite(ctc_loss(LOG_PROBS, **GOOD, names=NAMES))


def test_padding_of_targets_is_not_looked_at():
    assert torch.isfinite(ctc_loss(LOG_PROBS, torch.tensor([[1, 2, 0, 99], [3, -5, 0, 0]]), [5, 4], [2, 1]))


def test_all_targets_empty():
    empty = torch.zeros(0, dtype=torch.int64)
    expected = ctc_loss(LOG_PROBS, [[], []], [5, 4])
    assert torch.isfinite(expected)
    assert torch.equal(ctc_loss(LOG_PROBS, [empty, empty], [5, 4]), expected)
    assert torch.equal(ctc_loss(LOG_PROBS, empty, [5, 4], [0, 0]), expected)
    assert torch.equal(ctc_loss(LOG_PROBS, empty.view(2, 0), [5, 4], [0, 0]), expected)
