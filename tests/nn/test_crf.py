"""The random field against enumeration of every label sequence."""

import itertools

import pytest
import torch
from torch.nn import functional

from karussell.nn.crf import CRF

K = 3
LENGTHS = torch.tensor([4, 1, 3, 2])


@pytest.fixture
def crf() -> CRF:
    field = CRF(K).double()
    for weight in field.parameters():
        torch.nn.init.normal_(weight, std=1.5)
    return field


def emissions() -> torch.Tensor:
    return 2 * torch.randn(4, len(LENGTHS), K, dtype=torch.float64)


def every(crf: CRF, e: torch.Tensor, b: int) -> dict[tuple[int, ...], torch.Tensor]:
    """The score of every label sequence of row b, term by term as the docstring writes it."""
    transitions, begin, end = crf.scores()
    found = {}
    for y in itertools.product(range(K), repeat=int(LENGTHS[b])):
        score = begin[y[0]] + end[y[-1]] + sum(e[t, b, k] for t, k in enumerate(y))
        found[y] = score + sum(transitions[i, j] for i, j in itertools.pairwise(y))
    return found


def test_the_probabilities_of_all_label_sequences_are_those_of_enumeration(crf: CRF) -> None:
    e = emissions()
    for b, length in enumerate(LENGTHS.tolist()):
        scores = every(crf, e, b)
        total = torch.logsumexp(torch.stack(list(scores.values())), 0)
        for y, score in scores.items():
            labels = torch.zeros(len(e), len(LENGTHS), dtype=torch.int64)
            labels[:length, b] = torch.tensor(y)
            torch.testing.assert_close(crf(e, labels, LENGTHS)[b], total - score)


def test_the_best_sequence_is_the_best_of_all(crf: CRF) -> None:
    e = emissions()
    for b, path in enumerate(crf.decode(e, LENGTHS)):
        scores = every(crf, e, b)
        assert tuple(path) == max(scores, key=lambda y: float(scores[y].detach()))


def test_marginals_are_sums_over_all_sequences(crf: CRF) -> None:
    e = emissions()
    found = crf.marginals(e, LENGTHS)
    expected = torch.zeros_like(e)
    for b in range(len(LENGTHS)):
        scores = every(crf, e, b)
        shares = functional.softmax(torch.stack(list(scores.values())), 0)
        for y, share in zip(scores, shares, strict=True):
            for t, k in enumerate(y):
                expected[t, b, k] += share.detach()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum(2), (torch.arange(4)[:, None] < LENGTHS).double())


def test_gradients_are_those_of_finite_differences(crf: CRF) -> None:
    labels = torch.randint(K, (4, len(LENGTHS)))
    e = emissions().requires_grad_()
    weights = tuple(crf.parameters())

    def loss(e: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return crf(e, labels, LENGTHS)

    assert torch.autograd.gradcheck(loss, (e, *weights))


def test_what_lies_beyond_a_length_changes_nothing(crf: CRF) -> None:
    e, labels = emissions(), torch.randint(K, (4, len(LENGTHS)))
    beyond = torch.arange(4)[:, None] >= LENGTHS
    other, others = torch.where(beyond[..., None], 50.0, e), torch.where(beyond, -1, labels)
    torch.testing.assert_close(crf(other, others, LENGTHS), crf(e, labels, LENGTHS), rtol=0, atol=0)
    assert crf.decode(other, LENGTHS) == crf.decode(e, LENGTHS)


def test_a_forbidden_transition_is_never_taken(crf: CRF) -> None:
    allowed = torch.ones(K + 1, K + 1, dtype=torch.bool)
    allowed[0, 1] = allowed[K, 2] = allowed[1, K] = False
    crf.forbid(allowed)
    e = 5 * torch.randn(9, 40, K, dtype=torch.float64)
    for path in crf.decode(e, torch.full((40,), 9)):
        steps = list(itertools.pairwise([K, *path, K]))
        assert all(allowed[i, j] for i, j in steps)
    marginal = crf.marginals(e, torch.full((40,), 9))
    assert float(marginal[0, :, 2].max()) < 1e-12


def test_long_sequences_with_far_scores_stay_finite() -> None:
    crf = CRF(5)
    e = (100 * torch.randn(500, 2, 5)).requires_grad_()
    loss = crf(e, torch.randint(5, (500, 2)), torch.tensor([500, 400])).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(e.grad).all()


@pytest.mark.parametrize("lengths", [[0, 1], [5, 1], [1]])
def test_wrong_lengths_are_named(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="lengths is"):
        CRF(K).decode(torch.zeros(4, 2, K), torch.tensor(lengths))


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="emissions is"):
        CRF(K).decode(torch.zeros(4, K), torch.tensor([4]))
    with pytest.raises(ValueError, match="allowed is"):
        CRF(K).forbid(torch.ones(K, K, dtype=torch.bool))
    with pytest.raises(ValueError, match="labels is 0"):
        CRF(0)
