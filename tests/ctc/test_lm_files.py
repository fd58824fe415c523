"""Every form of a model: what goes in comes out, what others wrote scores as they say, what is broken is refused."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
from lm_texts import FALLBACK, BackOff, scores, sentences

from karussell.ctc.lm import LanguageModel, native, train
from karussell.errors import InputError

FILES = Path(__file__).parent / "lm_files"

# as SRILM and others write them: words before the data, n-grams in any order, back-offs left out, lower orders pruned
# away under higher ones (no "b c", no "c a"), numbers in several notations, blank lines and spaces for tabs
QUIRKS = """made by hand, order 3

\\data\\
ngram 1=6
ngram 2 = 4
ngram 3=4

\\1-grams:
-0.9\tc\t-0.25
-99\t<s>\t-0.5
-1.1 </s>
-.7  a  -3e-1
+0 b\t-0.125
-2.5\t<unk>

\\2-grams:
-0.3\ta b\t-0.2
-0.2\t<s> a\t0.05
-0.6\tb </s>
-0.45\ta c\t-1

\\3-grams:
-0.1\ta b c
-0.2\t<s> a b
-0.15\tb c a
-0.05\tc a </s>

\\end\\
"""


def to_file(folder: Path, content: str | bytes) -> Path:
    path = folder / "model"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def log10(model: LanguageModel, words: list[str]) -> np.ndarray:
    return model.scores(words) / math.log(10)


def test_arpa_of_other_tools(tmp_path: Path) -> None:
    model, definition = LanguageModel.load(to_file(tmp_path, QUIRKS)), BackOff(QUIRKS)
    assert model.vocabulary == ("<unk>", "<s>", "</s>", "c", "a", "b")
    assert model.counts == (6, 6, 4)  # with "b c" and "c a", which only trigrams need
    for line in sentences(400, words=["a", "b", "c", "d"]):
        np.testing.assert_allclose(log10(model, line.split()), scores(definition, line.split()), atol=2e-7)


@pytest.mark.parametrize("form", ["arpa", "arpa.gz", "ngram"])
def test_every_form_comes_back(tmp_path: Path, form: str) -> None:
    model = train(sentences(200), 4, prune=(0, 0, 1), discount_fallback=FALLBACK).model
    model.save(tmp_path / f"one.{form}")
    back = LanguageModel.load(tmp_path / f"one.{form}")
    back.save(tmp_path / f"two.{form}")
    assert (tmp_path / f"one.{form}").read_bytes() == (tmp_path / f"two.{form}").read_bytes()
    assert (back.vocabulary, back.counts) == (model.vocabulary, model.counts)
    for line in sentences(30, seed=5):
        np.testing.assert_array_equal(back.scores(line.split()), model.scores(line.split()))


@pytest.mark.parametrize("form", ["arpa", "kenlm"])
def test_kenlm_gives_the_same_scores(form: str) -> None:
    """small.arpa is ours, small.kenlm is what KenLM's build_binary made of it, small.json what its module says."""
    model = LanguageModel.load(FILES / f"small.{form}")
    assert model.order == 3
    assert model.vocabulary == LanguageModel.load(FILES / "small.arpa").vocabulary
    rows = json.loads((FILES / "small.json").read_text())
    assert len(rows) > 20
    for row in rows:
        np.testing.assert_allclose(log10(model, row["text"].split()), row["log10"], atol=2e-6)


def test_both_forms_remember_alike() -> None:
    arpa, binary = (LanguageModel.load(FILES / f"small.{form}") for form in ("arpa", "kenlm"))
    states = {}
    for line in sentences(200, seed=11):
        one, two = arpa.begin(), binary.begin()
        for word in line.split():
            (first, one), (second, two) = arpa.score(one, word), binary.score(two, word)
            assert first == pytest.approx(second, abs=1e-5)
            assert states.setdefault(one, two) == two


def test_what_kenlm_does_not_keep(tmp_path: Path) -> None:
    model = LanguageModel.load(FILES / "small.kenlm")
    assert model.counts == ()
    assert math.isnan(model.worst_sum())
    with pytest.raises(InputError, match="holds hashes of its n-grams, not their words"):
        model.save(tmp_path / "model.arpa")
    data = bytearray((FILES / "small.kenlm").read_bytes())
    data[100] = 0
    bare = LanguageModel.load(to_file(tmp_path, bytes(data)))
    assert bare.number("cat") == model.number("cat") != 0
    with pytest.raises(InputError, match="without its words"):
        assert bare.vocabulary


@pytest.mark.parametrize(
    ("at", "byte", "sentence"),
    [
        (96, 1, "type 'probing with rest costs', and only 'probing' is read"),
        (96, 2, "type 'trie'"),
        (96, 3, "type 'quantised trie'"),
        (96, 4, "type 'trie with compressed pointers'"),
        (96, 5, "type 'quantised trie with compressed pointers'"),
        (96, 6, "none that is known"),
        (49, ord("4"), "another version of KenLM's format"),
        (63, 0, "another kind of machine"),
        (88, 9, "order is not between 2 and 8"),
        (108, 255, "cut off"),
    ],
)
def test_kenlm_files_that_are_refused(tmp_path: Path, at: int, byte: int, sentence: str) -> None:
    data = bytearray((FILES / "small.kenlm").read_bytes())
    data[at] = byte
    with pytest.raises(InputError) as caught:
        LanguageModel.load(to_file(tmp_path, bytes(data)))
    assert sentence in str(caught.value)


def test_a_file_of_our_own_with_any_byte_wrong_or_any_end_missing(tmp_path: Path) -> None:
    path = tmp_path / "model.ngram"
    train(["a b", "b a c"], 2, discount_fallback=FALLBACK).model.save(path)
    data = path.read_bytes()
    assert LanguageModel.load(path).order == 2
    for at in range(len(data)):
        wrong = bytearray(data)
        wrong[at] ^= 1 << at % 8
        with pytest.raises(InputError):
            LanguageModel.load(to_file(tmp_path, bytes(wrong)))
    for end in range(0, len(data), 7):
        with pytest.raises(InputError):
            LanguageModel.load(to_file(tmp_path, data[:end]))


def test_a_wrong_number_behind_a_right_checksum(tmp_path: Path) -> None:
    """Someone who makes the checksum right again gets no further: every number is changed, none is used unseen."""
    path = tmp_path / "model.ngram"
    train(sentences(5), 3, discount_fallback=FALLBACK).model.save(path)
    data, library = path.read_bytes(), native.library()
    refused = 0
    for at in range(32, len(data) - 3, 4):
        wrong = bytearray(data)
        wrong[at : at + 4] = b"\xff\xff\xff\x7f"
        wrong[24:32] = library.ngram_sign(bytes(wrong), len(wrong)).to_bytes(8, "little")
        try:
            model = LanguageModel.load(to_file(tmp_path, bytes(wrong)))
        except InputError:
            refused += 1
            continue
        assert np.isfinite(model.scores(list(model.vocabulary))).all()
    assert refused > 0.8 * (len(data) - 32) / 4


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("\\data\\", "data", "no line \\data\\"),
        ("\\end\\", "", "it was cut off"),
        ("ngram 2 = 4", "ngram 2 = four", "line 5: expected 'ngram ORDER=COUNT'"),
        ("ngram 3=4", "ngram 4=4", "orders must be announced from 1 upwards"),
        ("ngram 3=4", "ngram 3=5", "line 28: there are 4 n-grams of order 3, and 5 were announced"),
        ("ngram 3=4", "ngram 3=3", "line 26: there are more n-grams of this order than were announced"),
        ("\\2-grams:", "\\3-grams:", "line 16: expected \\2-grams:"),
        ("-99\t<s>", "-99\t<x>", "lack <s>"),
        ("-1.1 </s>", "-1.1 </x>", "lack </s>"),
        ("-2.5\t<unk>", "-2.5\ta", "the word 'a' is there twice"),
        ("-0.3\ta b\t-0.2", "-0.3\ta z\t-0.2", "line 17: the word 'z' is not among the n-grams of order 1"),
        ("-0.3\ta b\t-0.2", "-0.3\ta", "expected a number, 2 words and perhaps a number"),
        ("-0.3\ta b\t-0.2", "nan\ta b\t-0.2", "'nan' is not a number"),
        ("-0.3\ta b\t-0.2", "-0.3\ta b\tinf", "'inf' is not a number"),
        ("-0.3\ta b\t-0.2", "0.3\ta b\t-0.2", "above 0"),
        ("-0.3\ta b\t-0.2", "-0.6\tb </s>", "an n-gram is given twice: 'b </s>'"),
        ("-0.05\tc a </s>", "-0.05\tc a </s>\t-0.1", "of the highest order has a back-off weight"),
        ("\\end\\", "\\end\\\nmore", "there is something after \\end\\"),
    ],
)
def test_arpa_files_that_are_refused(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert old in QUIRKS
    with pytest.raises(InputError) as caught:
        LanguageModel.load(to_file(tmp_path, QUIRKS.replace(old, new)))
    assert sentence in str(caught.value)
    assert str(tmp_path / "model") in str(caught.value)


def test_files_that_are_no_models(tmp_path: Path) -> None:
    own = tmp_path / "own.ngram"
    train(["a"], 1, discount_fallback=FALLBACK).model.save(own)
    for content, sentence in (
        (b"", "no line \\data\\"),
        (b"\x00" * 3_000_000, "no ARPA file"),
        (gzip.compress(QUIRKS.encode())[:-9], "is damaged"),
        (gzip.compress(own.read_bytes()), "unpack it first"),
        (QUIRKS.encode().replace(b"+0 b", b"+0 \xff"), "not UTF-8"),
    ):
        with pytest.raises(InputError) as caught:
            LanguageModel.load(to_file(tmp_path, content))
        assert sentence in str(caught.value)
    with pytest.raises(InputError, match="is no file"):
        LanguageModel.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is no file"):
        LanguageModel.load(tmp_path)
    with pytest.raises(InputError, match=r"must end in \.ngram"):
        LanguageModel.load(own).save(tmp_path / "model.txt")
    with pytest.raises(InputError, match="there is no folder"):
        LanguageModel.load(own).save(tmp_path / "none" / "model.arpa")


def test_states_of_other_models_are_refused(tmp_path: Path) -> None:
    large = train(sentences(200), 4, discount_fallback=FALLBACK).model
    small = LanguageModel.load(to_file(tmp_path, QUIRKS))
    state = large.begin()
    for word in sentences(1)[0].split():
        _, state = large.score(state, word)
    for wrong in (state, b"", b"\xff" * 32):
        with pytest.raises(InputError, match="state"):
            small.score(wrong, "a")
    with pytest.raises(InputError, match="number 6; it must lie in 0 … 5"):
        small.score(small.begin(), 6)
    assert small.score(small.begin(), "never heard") == small.score(small.begin(), "<unk>")
    assert "a" in small
    assert "z" not in small
