import pytest
from hypothesis import given
from hypothesis import strategies as st

from karussell.data import Normaliser, Vocabulary, normalise
from karussell.errors import InputError


def test_normalise() -> None:
    assert normalise("  a\t b\n") == "a b"
    assert normalise("e\u0301") == "é"
    assert normalise("Grüß Gott", case="upper") == "GRÜSS GOTT"
    assert normalise("It\u2019s a well-known \u201cfact\u201d, no?", case="lower", punctuation="remove") == (
        "it's a well-known fact no"
    )
    assert normalise("one,two - three", punctuation="remove") == "one two three"
    with pytest.raises(ValueError, match="case is 'loud'"):
        Normaliser(case="loud")  # type: ignore[arg-type]


@given(st.text(), st.sampled_from(["NFC", "NFKD"]), st.sampled_from(["keep", "lower"]))
def test_normalise_twice_is_once(text: str, form: str, case: str) -> None:
    rule = Normaliser(form, case, "keep")  # type: ignore[arg-type]
    assert rule(rule(text)) == rule(text)


@given(st.lists(st.text(min_size=1), min_size=1), st.integers(0, 3))
def test_encode_decode_and_json_round_trip(texts: list[str], blank: int) -> None:
    found = Vocabulary.from_texts(texts)
    vocabulary = Vocabulary(found.symbols, min(blank, len(found.symbols)))
    again = Vocabulary.from_json(vocabulary.to_json())
    assert again == vocabulary
    for text in texts:
        ids = vocabulary.encode(text)
        assert vocabulary.blank not in ids
        assert max(ids) < vocabulary.size == len(vocabulary) == len(vocabulary.labels)
        assert vocabulary.decode(ids) == again.decode(ids) == text


def test_words_and_numbers() -> None:
    words = Vocabulary.from_texts(["yes no", "no  yes"], unit="word", blank=2)
    assert words.symbols == ("no", "yes")
    assert words.encode("yes no") == [1, 0]
    assert words.decode([1, 0]) == "yes no"
    digits = Vocabulary(tuple("0123456789"))
    assert digits.encode("90") == [10, 1]
    assert digits.size == 11
    assert Vocabulary(("a", "b"), blank=1).encode("ab") == [0, 2]


def test_bad_texts_are_named() -> None:
    vocabulary = Vocabulary(("a", "b"))
    with pytest.raises(InputError, match="utterance 'u7' holds the character 'ç', which the vocabulary lacks"):
        vocabulary.encode("abç", "u7")
    with pytest.raises(InputError, match="utterance 'u8' is empty"):
        vocabulary.encode("", "u8")
    for ids in ([0], [3], [-1]):
        with pytest.raises(InputError, match="is no symbol"):
            vocabulary.decode(ids)


@pytest.mark.parametrize(
    ("symbols", "blank", "unit", "match"),
    [
        ((), 0, "character", "at least one symbol"),
        (("a", "a"), 0, "character", "'a' twice"),
        (("ab",), 0, "character", "not one character"),
        (("a b",), 0, "word", "not one word"),
        (("",), 0, "word", "not one word"),
        (("a",), 2, "character", "blank is 2"),
        (("a",), 0, "phone", "unit"),
    ],
)
def test_bad_vocabularies(symbols: tuple[str, ...], blank: int, unit: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        Vocabulary(symbols, blank, unit)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"symbols": "ab", "blank": 0, "unit": "character"}', "null"])
def test_bad_json(content: str) -> None:
    with pytest.raises(InputError, match="not a vocabulary"):
        Vocabulary.from_json(content)


def test_no_texts() -> None:
    with pytest.raises(InputError, match="all empty"):
        Vocabulary.from_texts([])
