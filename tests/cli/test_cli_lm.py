"""`karussell lm`: the three commands one after the other, what they refuse, and the page that names them."""

import json
import re
import shlex
from pathlib import Path

from command_line import Karussell

DOCS = Path(__file__).parents[2] / "docs"
TEXT = "the cat sees the bird\nthe bird sees a cat\na bird hears the cat\n" * 4
SMALL = shlex.split("--order 3 --discount_fallback 0.5 1 1.5 --memory 1")


def test_a_model_is_made_measured_and_converted(karussell: Karussell, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    done = karussell("lm", "train", tmp_path / "text.txt", "--out", tmp_path / "model.ngram", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "12 sentences, 60 words" in done.stderr
    assert "model.ngram" in done.stdout
    done = karussell("lm", "convert", tmp_path / "model.ngram", tmp_path / "model.arpa.gz")
    assert done.returncode == 0, done.stderr
    found = []
    for name in ("model.ngram", "model.arpa.gz"):
        done = karussell("lm", "perplexity", tmp_path / name, tmp_path / "text.txt", "--json")
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]
    assert found[0]["sentences"] == 12
    assert 1 < found[0]["perplexity"] < 5
    assert found[0]["unknown"] == 0


def test_the_vocabulary_and_words_that_are_not_in_it(karussell: Karussell, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "words.txt").write_text("the a cat\nbird dog\n")
    words = ("lm", "train", tmp_path / "text.txt", "--vocabulary", tmp_path / "words.txt", *SMALL)
    done = karussell(*words, "--out", tmp_path / "model.arpa")
    assert done.returncode == 0, done.stderr
    assert "ngram 1=8\n" in (tmp_path / "model.arpa").read_text()
    done = karussell("lm", "perplexity", tmp_path / "model.arpa", tmp_path / "text.txt")
    assert "without the 12 unknown words" in done.stdout
    done = karussell(*words, "--closed", "--out", tmp_path / "other.arpa")
    assert done.returncode == 2
    assert "the word 'sees' is not in the vocabulary" in done.stderr
    assert not (tmp_path / "other.arpa").exists()


def test_what_cannot_be_used_is_one_line(karussell: Karussell, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    train = ("lm", "train", tmp_path / "text.txt", "--out")
    for words, sentence in (
        ((*train, tmp_path / "model.arpa"), "cannot be estimated"),
        ((*train, tmp_path / "model.txt", *SMALL), "it must end in .ngram, .arpa, .arpa.gz"),
        ((*train, tmp_path / "none" / "model.arpa", *SMALL), "there is no folder"),
        ((*train, tmp_path / "model.arpa", *SMALL, "--memory", "0"), "--memory is 0"),
        (("lm", "perplexity", tmp_path / "text.txt", tmp_path / "text.txt"), "no ARPA file"),
        (("lm", "convert", tmp_path / "nowhere", tmp_path / "model.arpa"), "is no file"),
        (("lm",), "{train,perplexity,convert}"),
    ):
        done = karussell(*words)
        assert done.returncode == 2, done.stderr
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_options_on_the_page_exist(karussell: Karussell) -> None:
    known = "".join(karussell("lm", name, "--help").stdout for name in ("train", "perplexity", "convert"))
    named = set(re.findall(r" (--[a-z][a-z_]*)", (DOCS / "language_models.md").read_text()))
    assert {"--order", "--prune", "--closed"} <= named
    assert not [option for option in named - {"--count"} if option not in known]
