"""The estimate against its definition written out, sums to one, memory, and what is refused."""

import gzip
import io
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
from lm_texts import FALLBACK, kneser_ney, log, sentences

from karussell.ctc.lm import LanguageModel, perplexity, train
from karussell.errors import InputError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "ptb.zip"


def listed(model: LanguageModel, path: Path) -> dict[tuple[str, ...], tuple[float, float | None]]:
    """n-gram -> log10 p, log10 back-off, from the ARPA file."""
    model.save(path)
    made = {}
    for line in path.read_text().splitlines():
        parts = line.split("\t")
        if len(parts) > 1:
            made[tuple(parts[1].split(" "))] = (float(parts[0]), float(parts[2]) if len(parts) > 2 else None)
    return made


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("variant", ["open", "closed", "pruned", "vocabulary"])
def test_the_estimate_is_its_definition(tmp_path: Path, order: int, variant: str) -> None:
    lines = sentences(300, seed=order)
    prune = {"pruned": [0, 0, 1, 1, 2]}.get(variant, [0] * 5)[:order]
    words = ["the", "cat", "sees", "a", "never-seen", "bird"] if variant == "vocabulary" else None
    closed = variant == "closed"
    made = train(lines, order, prune=prune, vocabulary=words, closed=closed, discount_fallback=FALLBACK)
    p, gamma = kneser_ney(lines, order, tuple(prune), FALLBACK, closed, words)
    found = listed(made.model, tmp_path / "model.arpa")
    assert found.keys() == p.keys() | {("<s>",)}
    for gram, expected in p.items():
        assert found[gram][0] == pytest.approx(log(expected), abs=1e-6)
    for gram, (_, backoff) in found.items():
        if gram in gamma:
            # a context whose n-grams were all dropped frees all, and needs no entry
            assert (backoff or 0.0) == pytest.approx(log(gamma[gram]), abs=1e-6)
        else:
            assert backoff is None
    assert made.sentences == len(lines)
    assert made.words == sum(len(line.split()) for line in lines)
    assert made.model.worst_sum() < 1e-6


@pytest.mark.parametrize("closed", [False, True])
def test_probabilities_sum_to_one_in_every_context(closed: bool) -> None:
    lines = sentences(120, seed=4)
    model = train(lines, 3, prune=(0, 0, 1), closed=closed, discount_fallback=FALLBACK).model
    predicted = [w for w in model.vocabulary if w != "<s>" and (w != "<unk>" or model.has_unknown)]
    states = {model.begin(), model.nothing()}
    while True:
        # every state that can be reached, until there are no new ones
        found = {model.score(state, word)[1] for state in states for word in predicted}
        if found <= states:
            break
        states |= found
    assert len(states) > 50
    for state in states:
        assert math.fsum(math.exp(model.score(state, word)[0]) for word in predicted) == pytest.approx(1, abs=1e-6)


def test_little_memory_gives_the_same_file(tmp_path: Path) -> None:
    lines = sentences(4000, seed=2, words=[f"w{i}" for i in range(500)])
    for name, memory in (("much", 1 << 28), ("little", 1 << 16)):
        train(lines, 4, discount_fallback=FALLBACK, memory=memory, scratch=tmp_path).model.save(
            tmp_path / f"{name}.ngram"
        )
    assert (tmp_path / "much.ngram").read_bytes() == (tmp_path / "little.ngram").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"much.ngram", "little.ngram"}


def test_how_a_text_is_given_does_not_matter(tmp_path: Path) -> None:
    lines = sentences(200)
    text = "\n".join(lines)
    (tmp_path / "text.txt").write_text("\ufeff" + text.replace("\n", "\r\n", 50) + "\n\n")
    (tmp_path / "text.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "half.txt").write_text("\n".join(lines[:100]))
    ways = (lines, tmp_path / "text.txt", str(tmp_path / "text.gz"), [tmp_path / "half.txt", *lines[100:]])
    made = []
    for way in ways:
        train(way, 3, discount_fallback=FALLBACK).model.save(tmp_path / "model.ngram")
        made.append((tmp_path / "model.ngram").read_bytes())
    assert all(one == made[0] for one in made)


def test_unk_in_a_text_is_a_word() -> None:
    model = train(["a <unk> b", "<unk> a"] * 5, 2, closed=True, discount_fallback=FALLBACK).model
    assert model.has_unknown
    assert model.score(model.begin(), "<unk>")[0] > math.log(0.2)
    without = train(["a b"] * 5, 2, closed=True, discount_fallback=FALLBACK).model
    assert not without.has_unknown
    assert without.score(without.nothing(), "c")[0] == pytest.approx(-100 * math.log(10))


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        (["a b c"], {}, "discounts of order 1 cannot be estimated"),
        ([], {}, "the text has no words"),
        (["a", "b <s> c"], {}, "'<s>' is written out"),
        (["a", "b <s> c"], {}, "in line 2"),
        (["a b"], {"vocabulary": ["a"], "closed": True}, "the word 'b' is not in the vocabulary"),
        (["a b"], {"vocabulary": ["a b"]}, "'a b', which is no word"),
        (["a\nb"], {}, "line end in it"),
        (["a \udc80"], {}, "cannot be written as UTF-8"),
        ([3], {}, "not of <class 'int'>"),
        (["a" * 70000], {}, "longer than 65,536 bytes"),
        (["a"], {"order": 13}, "order is 13"),
        (["a"], {"order": 0}, "order is 0"),
        (["a"], {"prune": (1,)}, "prune is [1]"),
        (["a"], {"prune": (0, 2, 1)}, "prune is [0, 2, 1]"),
        (["a"], {"prune": (0, 0, 0, 0)}, "1 to 3 numbers"),
        (["a"], {"discount_fallback": (0.5, 1.0, 4.0)}, "discount_fallback is"),
        (["a"], {"memory": 10}, "memory is 10"),
        ("nowhere.txt", {}, "'nowhere.txt' is no file"),
    ],
)
def test_what_is_refused(text: object, options: dict, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        train(text, **{"order": 3, **options})
    assert sentence in str(caught.value)


def test_a_text_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("gut\nschön\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"not UTF-8.*line 2"):
        train(tmp_path / "latin.txt")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"a b c\n" * 1000)[:-20])
    with pytest.raises(InputError, match=r"cut\.gz' is damaged"):
        train(tmp_path / "cut.gz")


@pytest.mark.skipif(
    not SHARED.exists(), reason="the Penn Treebank split is licensed: ../shared/data/ptb.zip is not here"
)
def test_penn_treebank(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(SHARED.read_bytes())) as packed:
        packed.extractall(tmp_path)
    [words], [held_out] = tmp_path.rglob("ptb.train.txt"), tmp_path.rglob("ptb.test.txt")
    for order, low, high in ((2, 180.0, 186.0), (5, 141.2 * 0.99, 141.2 * 1.01)):
        model = train(words, order, closed=True).model
        found = perplexity(model, held_out)
        assert len(model) == 10_001  # 10,000 with </s> and <unk>, and <s>, which is never predicted
        assert found.words + found.sentences == 82_430
        assert low < found.perplexity < high
        assert model.worst_sum() < 1e-6


def test_scores_are_those_of_single_steps() -> None:
    model = train(sentences(200), 4, discount_fallback=FALLBACK).model
    words = [*sentences(1, seed=9)[0].split(), "unheard"]
    state, one_by_one = model.begin(), []
    for word in words:
        log_p, state = model.score(state, word)
        one_by_one.append(log_p)
    one_by_one.append(model.end(state))
    np.testing.assert_array_equal(model.scores(words), one_by_one)
    found = perplexity(model, [" ".join(words), "", "  "])
    assert (found.sentences, found.words, found.unknown) == (1, len(words), 1)
    assert found.log_p == pytest.approx(sum(one_by_one))
    assert found.log_p_unknown == pytest.approx(one_by_one[-2])
    assert found.perplexity == pytest.approx(math.exp(-sum(one_by_one) / (len(words) + 1)))
    known = sum(one_by_one) - one_by_one[-2]
    assert found.without_unknown == pytest.approx(math.exp(-known / len(words)))
