"""An unlimited beam against every path and every text, for every combination of switches."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from search_oracle import Asked, Table, arpa, exhaustive, random_log_probs

from karussell.ctc.lm import LanguageModel
from karussell.ctc.search import Beam, Decoder, Lexicon, Weights, Writing

WRITINGS = {
    "spaces": Writing.of("ab "),
    "signs": Writing.of("ab,", separators={",": ","}, blank=3),
    "pieces": Writing.of(["▁a", "b", "▁ab"], blank=1),
    "wholes": Writing.of(["a", "b", "ab"], whole=True),
    "none": Writing.of("abc"),
}
WEIGHTS = Weights(word=0.7, word_bonus=0.4, unknown=-1.5, token=0.6, token_bonus=-0.2, prefix=0.8)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "words": LanguageModel.load(arpa(folder / "w.arpa", ["a", "ab", "b", "bb"], 1)),
        "tokens": LanguageModel.load(arpa(folder / "t.arpa", ["a", "b", "<space>", "▁a", "▁ab", ","], 2)),
    }


def ask(asked: Asked, width: int = 0) -> Decoder:
    lexicon = None if asked.words is None else Lexicon(asked.words, asked.spellings)
    return Decoder(
        asked.writing,
        beam=Beam(width=width, best_path=asked.best_path),
        lexicon=lexicon,
        closed=asked.closed,
        word_model=asked.word_model,
        token_model=asked.token_model,
        prefix_model=asked.prefix_model,
        weights=asked.weights,
        hotwords=asked.hotwords,
        threads=1,
    )


def compare(log_probs: np.ndarray, asked: Asked) -> None:
    wanted = exhaustive(log_probs, asked)
    [found] = ask(asked).n_best(log_probs[:, None], n=100_000)
    got = {(h.tokens, tuple(word.text for word in h.words)): h for h in found}
    assert len(got) == len(found)
    assert got.keys() == wanted.keys()
    for key, h in got.items():
        parts = (h.score, h.acoustic, h.language, h.boost)
        want = wanted[key]
        assert parts == pytest.approx((want.score, *want), rel=1e-9, abs=1e-9), key
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


def combinations(writing: Writing, models, adjoined: bool):
    has_words = writing.has_words or adjoined
    lexica = ["closed"] if adjoined else [None, "open", "closed"] if has_words else [None]
    for lexicon, word, token, prefix, hot, best in itertools.product(
        lexica, *[[False, True] if has_words else [False]], *[[False, True]] * 4
    ):
        yield Asked(
            writing,
            words=None if lexicon is None else ("a", "ab", "bb"),
            closed=lexicon == "closed",
            word_model=models["words"] if word else None,
            token_model=models["tokens"] if token else None,
            prefix_model=Table(len(writing.labels), 5) if prefix else None,
            weights=WEIGHTS,
            hotwords={"ab": 1.5, "a b": -0.7, "b": 0.3}
            if hot and has_words
            else {"ab": 1.5, "bab": 1.0, "c": -2.0}
            if hot
            else None,
            best_path=best,
        )


@pytest.mark.parametrize("name", WRITINGS)
def test_equals_exhaustive_search(name, models):
    writing = WRITINGS[name]
    for case, asked in enumerate(combinations(writing, models, False)):
        compare(random_log_probs(case, 4, 4), asked)
    compare(random_log_probs(99, 6, 4), asked)


def test_words_spelled_by_a_lexicon_without_a_gap(models):
    # one spelling of two words, two spellings of one word, and words that are beginnings of others
    lexicon = {
        "words": ("a", "ab", "ab", "bb", "b"),
        "spellings": (("a",), ("a", "b"), ("c",), ("b", "b"), ("b",)),
    }
    writing = Writing.of("abc")
    for case, asked in enumerate(combinations(writing, models, True)):
        compare(random_log_probs(case, 4, 4), asked._replace(**lexicon, adjoined=True))


def test_a_lexicon_in_letters_where_labels_make_no_words(models):
    asked = Asked(WRITINGS["none"], words=("a", "ab", "bc"), closed=True, word_model=models["words"], weights=WEIGHTS)
    spelled = asked._replace(spellings=(("a",), ("a", "b"), ("b", "c")), adjoined=True)
    log_probs = random_log_probs(3, 4, 4)
    wanted = exhaustive(log_probs, spelled)
    [found] = ask(asked).n_best(log_probs[:, None], n=1000)
    assert {(h.tokens, tuple(word.text for word in h.words)) for h in found} == wanted.keys()


@pytest.mark.parametrize("changed", [{"bounds": False}, {"look_ahead": False}, {"word": -0.5}, {"unknown": 2.0}])
def test_other_weights(changed, models):
    asked = Asked(
        WRITINGS["spaces"],
        words=("a", "ab", "bb"),
        word_model=models["words"],
        token_model=models["tokens"],
        prefix_model=Table(4, 1),
        weights=replace(WEIGHTS, **changed),
    )
    for case in range(3):
        compare(random_log_probs(case, 5, 4), asked)


@pytest.mark.parametrize("name", WRITINGS)
def test_recombination_keeps_the_best_path(name, models):
    writing = WRITINGS[name]
    for case, asked in enumerate(combinations(writing, models, False)):
        if not asked.best_path:
            continue
        log_probs = random_log_probs(case, 5, 4)
        merging = ask(asked).changed(beam=Beam(width=0, best_path=True, recombine=True))
        [found] = merging.decode(log_probs[:, None])
        assert found.score == pytest.approx(max(s.score for s in exhaustive(log_probs, asked).values()))


def test_recombination_makes_room(models):
    # equal states: the model knows nothing of these words, so only their last letters matter
    asked = Asked(WRITINGS["spaces"], word_model=models["words"], weights=WEIGHTS)
    log_probs = random_log_probs(1, 30, 4, spread=1.0)[:, None]
    plain = ask(asked, 5).decode(log_probs)[0].score
    assert ask(asked, 5).changed(beam=Beam(width=5, recombine=True)).decode(log_probs)[0].score >= plain


def test_impossible_labels(models):
    log_probs = random_log_probs(2, 5, 4)
    log_probs[1, 0] = log_probs[3, 1:3] = -np.inf
    for best in (False, True):
        compare(log_probs, Asked(WRITINGS["spaces"], word_model=models["words"], weights=WEIGHTS, best_path=best))


@pytest.mark.parametrize("name", [*WRITINGS, "adjoined"])
def test_a_narrow_beam_leaves_out_only_what_cannot_enter_it(name, models):
    """The bound by which tokens are skipped, against a search where it never bites."""
    adjoined = name == "adjoined"
    writing = WRITINGS["none" if adjoined else name]
    for case, asked in enumerate(combinations(writing, models, adjoined)):
        if adjoined:
            asked = asked._replace(words=("a", "ab", "bb"), spellings=(("a",), ("a", "b"), ("c", "b")))
        log_probs = random_log_probs(case, 12, 4)[:, None]
        for width in (1, 3, 8):
            quick, slow = ask(asked, width), ask(asked, width)
            structure = slow._settled.arrays.structure
            structure.ahead_reach = structure.phrase_reach = 1e9
            structure.token_bonus += 0.0
            if not structure.phrase_nodes and not structure.lexicon_nodes:
                continue
            assert quick.n_best(log_probs, n=width) == slow.n_best(log_probs, n=width)
