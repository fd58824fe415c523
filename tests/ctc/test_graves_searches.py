"""Prefix search and token passing, against every path."""

import itertools
import math

import numpy as np
import pytest
from search_oracle import arpa, masses, random_log_probs

from karussell.ctc.lm import LanguageModel
from karussell.ctc.search import Beam, Decoder, Lexicon, Writing, prefix_search, token_passing
from karussell.errors import InputError

LETTERS = Writing.of("abc", blank=1)


@pytest.mark.parametrize("seed", range(8))
def test_prefix_search_finds_the_likeliest_labellings(seed):
    log_probs = random_log_probs(seed, 6, 4, spread=1.0)
    wanted = sorted(masses(log_probs, 1, False).items(), key=lambda item: -item[1])
    found = prefix_search(log_probs, LETTERS, blank_threshold=None, n=20)
    assert [h.score for h in found] == pytest.approx([score for _, score in wanted[:20]])
    assert [h.tokens for h in found] == [labels for labels, _ in wanted[:20]]


def test_sections_are_solved_alone():
    log_probs = random_log_probs(3, 12, 4, spread=1.0)
    log_probs[5] = np.log([0.00001, 0.99995, 0.00002, 0.00002])
    [found] = prefix_search(log_probs, LETTERS)
    parts = [prefix_search(piece, LETTERS, blank_threshold=None)[0] for piece in (log_probs[:5], log_probs[6:])]
    assert found.tokens == parts[0].tokens + parts[1].tokens
    assert found.score == pytest.approx(parts[0].score + parts[1].score + math.log(0.99995))
    assert prefix_search(log_probs[5:6], LETTERS)[0].tokens == ()


def test_prefix_search_where_the_best_path_is_not_the_best_labelling():
    # the example of the paper: two frames, p(blank) 0.6, p(a) 0.4
    log_probs = np.log([[0.4, 0.6]] * 2)
    writing = Writing.of("a", blank=1)
    assert prefix_search(log_probs, writing)[0].text == "a"
    assert prefix_search(log_probs, writing)[0].score == pytest.approx(math.log(1 - 0.36))


def test_its_times_are_those_of_the_likeliest_path():
    log_probs = random_log_probs(5, 7, 4)
    [found] = prefix_search(log_probs, LETTERS, blank_threshold=None, frame_seconds=0.5)
    _, path = max(
        (sum(log_probs[t, k] for t, k in enumerate(path)), path)
        for path in itertools.product(range(4), repeat=7)
        if tuple(k for k, _ in itertools.groupby(path) if k != 1) == found.tokens
    )
    runs, at = [], 0
    for label, group in itertools.groupby(path):
        size = len(list(group))
        if label != 1:
            runs.append((at * 0.5, (at + size) * 0.5, math.exp(max(log_probs[at : at + size, label]))))
        at += size
    assert list(zip(found.starts, found.ends, strict=True)) == [run[:2] for run in runs]
    assert found.confidences == pytest.approx([run[2] for run in runs])
    # the beam's own record of its likeliest path, where nothing is cut off
    whole = Decoder(LETTERS, beam=Beam(width=0), frame_seconds=0.5).n_best(log_probs[:, None], n=1)[0][0]
    assert (whole.tokens, whole.starts, whole.ends) == (found.tokens, found.starts, found.ends)


def test_too_hard_a_section_is_an_error():
    with pytest.raises(InputError, match="not settled within the limit of prefixes"):
        prefix_search(np.full((30, 4), math.log(0.25)), LETTERS, limit=50)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"n": 2}, "blank_threshold=None for the n best"),
        ({"blank_threshold": 1.5}, "it must lie in 0 … 1"),
        ({"log_probs": np.zeros((3, 5))}, r"it must be \[T, 4\]"),
        ({"log_probs": np.full((3, 4), math.nan)}, "NaN or infinity at frame 0"),
    ],
)
def test_prefix_search_refuses_in_a_sentence(changed, sentence):
    with pytest.raises(InputError, match=sentence):
        prefix_search(**{"log_probs": random_log_probs(0, 3, 4), "writing": LETTERS, **changed})


def brute_force(log_probs, writing, lexicon, score, last, separator, most):
    """The best word string of at most `most` words, by trying all of them."""
    numbers = {label: k for k, label in enumerate(writing.labels) if k != writing.blank}
    best = masses(log_probs, writing.blank, True)
    found = (-math.inf, ())
    for count in range(most + 1):
        for words in itertools.product(range(len(lexicon.words)), repeat=count):
            labels: list[int] = []
            for place, word in enumerate(words):
                labels += [separator] * (place > 0 and separator is not None)
                labels += [numbers[letter] for letter in (lexicon.spellings or lexicon.words)[word]]
            total = best.get(tuple(labels), -math.inf)
            history = [len(lexicon.words), *words]
            total += sum(score[v, w] for v, w in zip(history, words, strict=False)) + last[history[-1]]
            if total > found[0] + 1e-12:
                found = (total, tuple(lexicon.words[w] for w in words))
    return found


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("spaced", [False, True])
def test_token_passing_equals_brute_force(seed, spaced):
    rng = np.random.default_rng(seed)
    writing = Writing.of("ab ", blank=2) if spaced else Writing.of("abc", blank=2)
    # words that begin with the letter others end in, doubled letters, one spelling of two words
    lexicon = Lexicon(("a", "aa", "ab", "ba", "ab-too"), (("a",), ("a", "a"), ("a", "b"), ("b", "a"), ("a", "b")))
    words = lexicon.words
    pairs = {(v, w): float(rng.normal(-1.5, 1.0)) for v in (*words, "<s>") for w in (*words, "</s>")}
    for impossible in (("a", "a"), ("<s>", "ba"), ("ab", "</s>")):
        pairs[impossible] = -math.inf
    table = np.array([[0.7 * pairs[v, w] + 0.3 for w in words] for v in (*words, "<s>")])
    last = np.array([0.7 * pairs[v, "</s>"] for v in (*words, "<s>")])
    log_probs = random_log_probs(100 + seed, 6, 4)
    found = token_passing(log_probs, writing, lexicon, bigrams=pairs, weight=0.7, word_bonus=0.3)
    score, wanted = brute_force(log_probs, writing, lexicon, table, last, 3 if spaced else None, 6 - 3 * spaced)
    assert found.score == pytest.approx(score)
    assert len(found.tokens) == len(found.starts)
    assert found.acoustic + found.language == pytest.approx(found.score)
    if spaced:
        assert found.text == " ".join(wanted).replace("ab-too", "ab")
    else:
        assert tuple(word.text for word in found.words) == wanted


def test_token_passing_with_a_language_model(tmp_path):
    model = LanguageModel.load(arpa(tmp_path / "b.arpa", ["a", "ab", "ba"], 4, order=2))
    writing = Writing.of("ab ")
    log_probs = random_log_probs(7, 7, 4)
    found = token_passing(log_probs, writing, ["a", "ab", "ba"], bigrams=model, weight=0.5)
    words = [word.text for word in found.words]
    assert found.language == pytest.approx(0.5 * model.scores(words).sum())
    # a beam that keeps everything, ranks by paths and knows the same words finds the same text
    beam = Decoder(writing, beam=Beam(width=0, best_path=True), lexicon=["a", "ab", "ba"], word_model=model).n_best(
        log_probs[:, None], n=100_000
    )[0]
    tidy = [
        h for h in beam if h.text == writing.text(h.tokens) and "".join(writing.labels[t] for t in h.tokens) == h.text
    ]
    assert (tidy[0].tokens, tidy[0].starts) == (found.tokens, found.starts)
    assert tidy[0].score == pytest.approx(found.score)


def test_nothing_to_say():
    writing = Writing.of("ab ")
    silent = np.log(np.array([[0.97, 0.01, 0.01, 0.01]] * 4))
    assert token_passing(silent, writing, ["a"]).text == ""
    assert token_passing(silent[:0], writing, ["a"]).score == 0.0
    # no path: three frames cannot hold these words, and a text must not be empty
    only = {("<s>", "aab"): 0.0, ("aab", "</s>"): 0.0}
    assert token_passing(silent[:3], writing, ["aab"], bigrams=only).score == -math.inf
