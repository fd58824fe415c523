"""Error rates against jiwer, alignments, and the bootstrap."""

import jiwer
import numpy as np
import pytest

from karussell.ctc import align, confusions, label_error_rate, word_error_rate
from karussell.errors import InputError


def noisy(seed: int, utterances: int = 60) -> tuple[list[str], list[str]]:
    """Sentences of words and the same with words lost, added and changed."""
    generator = np.random.default_rng(seed)
    words = ["one", "two", "three", "four", "five", "six"]
    references, hypotheses = [], []
    for _ in range(utterances):
        reference = generator.choice(words, size=generator.integers(1, 9)).tolist()
        hypothesis = []
        for word in reference:
            draw = generator.random()
            hypothesis += [] if draw < 0.1 else [str(generator.choice(words))] if draw < 0.3 else [word]
            hypothesis += [str(generator.choice(words))] if generator.random() < 0.1 else []
        references.append(" ".join(reference))
        hypotheses.append(" ".join(hypothesis))
    return references, hypotheses


def test_word_error_rate_is_that_of_jiwer():
    references, hypotheses = noisy(0)
    ours, theirs = word_error_rate(references, hypotheses), jiwer.process_words(references, hypotheses)
    assert ours.rate == pytest.approx(theirs.wer)
    counts = (ours.substitutions, ours.deletions, ours.insertions)
    assert counts == (theirs.substitutions, theirs.deletions, theirs.insertions)
    assert ours.references == theirs.hits + theirs.substitutions + theirs.deletions


def test_label_error_rate_of_strings_is_the_character_error_rate_of_jiwer():
    references, hypotheses = noisy(1)
    assert label_error_rate(references, hypotheses).rate == pytest.approx(jiwer.cer(references, hypotheses))


def test_counts_by_hand():
    result = label_error_rate([(3, 1, 4), (1, 5), ()], [(3, 4), (1, 9, 2), (6,)])
    assert (result.substitutions, result.deletions, result.insertions, result.references) == (1, 1, 2, 5)
    assert result.rate == pytest.approx(4 / 5)


def test_labels_are_compared_by_value():
    """rapidfuzz alone takes -1 for -2 (their hashes agree) and 'a' for 97."""
    assert label_error_rate([[-1]], [[-2]]).rate == 1
    assert label_error_rate([["a"]], [[97]]).rate == 1
    assert label_error_rate([[1, "a"]], [(1, "a")]).rate == 0


def test_interval_is_seeded_contains_the_rate_and_narrows_with_more_utterances():
    few, many = noisy(2, 30), noisy(2, 480)
    result = word_error_rate(*few, seed=5)
    assert result == word_error_rate(*few, seed=5)
    assert result != word_error_rate(*few, seed=6)
    assert result.low < result.rate < result.high
    wide = word_error_rate(*few, seed=5, confidence=0.99)
    assert wide.low < result.low
    assert wide.high > result.high
    large = word_error_rate(*many)
    assert (large.high - large.low) / (result.high - result.low) == pytest.approx(0.25, abs=0.1)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    """Errors at a rate of 20 %: 95 % intervals from 50 utterances of 10 labels, 200 times over."""
    generator = np.random.default_rng(3)
    covered = 0
    for trial in range(200):
        wrong = generator.random((50, 10)) < 0.2
        references, hypotheses = np.zeros((50, 10), int).tolist(), wrong.astype(int).tolist()
        result = label_error_rate(references, hypotheses, resamples=200, seed=trial)
        covered += result.low <= 0.2 <= result.high
    assert 0.88 <= covered / 200 <= 0.99


def test_interval_of_one_utterance_or_no_error_is_a_point():
    alone = label_error_rate(["abcd"], ["abed"])
    assert (alone.low, alone.rate, alone.high) == (0.25, 0.25, 0.25)
    perfect = label_error_rate(["abcd"] * 5, ["abcd"] * 5)
    assert (perfect.low, perfect.rate, perfect.high) == (0, 0, 0)


def test_resamples_without_a_reference_are_left_out():
    result = label_error_rate(["", "ab"], ["", "ac"], resamples=50)
    assert (result.low, result.high) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("references", "hypotheses", "options", "sentence"),
    [
        (["a"], [], {}, "1 references came with 0 hypotheses"),
        ([], [], {}, "no reference label"),
        (["", ""], ["a", ""], {}, "no reference label"),
        (["a"], ["a"], {"confidence": 95}, "confidence is 95"),
        (["a"], ["a"], {"resamples": 0}, "resamples 0"),
    ],
)
def test_refused_in_a_sentence(references, hypotheses, options, sentence):
    with pytest.raises(InputError, match=sentence):
        label_error_rate(references, hypotheses, **options)


def test_alignment_pairs_what_it_says():
    assert align("cat", "cat") == (("c", "c"), ("a", "a"), ("t", "t"))
    assert align("314", "34") == (("3", "3"), ("1", None), ("4", "4"))
    assert align("34", "374") == (("3", "3"), (None, "7"), ("4", "4"))
    assert align("34", "35") == (("3", "3"), ("4", "5"))
    assert align("", "1") == ((None, "1"),)
    assert align("1", "") == (("1", None),)
    assert align("", "") == ()


def test_alignment_keeps_both_sequences_and_costs_the_edit_distance():
    for reference, hypothesis in zip(*noisy(4), strict=True):
        r, h = reference.split(), hypothesis.split()
        pairs = align(r, h)
        assert [a for a, _ in pairs if a is not None] == r
        assert [b for _, b in pairs if b is not None] == h
        result = jiwer.process_words(reference, hypothesis)
        assert sum(a != b for a, b in pairs) == result.substitutions + result.deletions + result.insertions


def test_confusions_count_all_pairs():
    counts = confusions(["314", "15"], ["34", "195"])
    assert counts == {("3", "3"): 1, ("1", None): 1, ("4", "4"): 1, ("1", "1"): 1, (None, "9"): 1, ("5", "5"): 1}
