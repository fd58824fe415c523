"""`--lm`, `--lexicon`, `--hotwords`, `--tune` and `--changes`: what is known of the language, through the command."""

import json
import re
from pathlib import Path

import pytest
from command_line import Karussell


@pytest.fixture(scope="module")
def labels(karussell: Karussell, data: Path) -> Path:
    """A 2-gram of the labels, made from the training texts by the command."""
    rows = [json.loads(line) for line in (data / "train.jsonl").read_text().splitlines()]
    (data / "labels.txt").write_text("".join(" ".join(row["text"]) + "\n" for row in rows))
    words = ("--order", 2, "--discount_fallback", 0.5, 1, 1.5, "--memory", 1, "--out", data / "labels.arpa.gz")
    done = karussell("lm", "train", data / "labels.txt", *words)
    assert done.returncode == 0, done.stderr
    return data / "labels.arpa.gz"


def test_weights_are_tuned_and_the_page_shows_what_changed(
    karussell: Karussell, data: Path, trained: Path, labels: Path, tmp_path: Path
) -> None:
    page = tmp_path / "changes.html"
    # a phrase that is never said and weighs much changes some texts for sure
    words = ("--lm", labels, "--tune", data / "test.jsonl", "--changes", page, "--json", "--beam", 20)
    done = karussell("evaluate", trained, data / "test.jsonl", *words, "--hotwords", "bbb=30")
    assert done.returncode == 0, done.stderr
    found = re.search(r"alpha ([\d.]+) and beta (-?[\d.]+) are best of 48 pairs: ([\d.]+) %", done.stderr)
    assert found is not None
    result = json.loads(done.stdout)
    assert 100 * result["ler"] == pytest.approx(float(found[3]), abs=0.005)
    text = page.read_text()
    weights = f"alpha {found[1]}, beta {found[2]}"
    for part in ("What language changed", "Label error rate without", weights, labels.name, "of 12"):
        assert part in text
    assert re.search(r"acoustic -[\d.]+, language -[\d.]+, phrases [1-9][\d.]+", text)
    # the weights that were found, given by hand, score the same
    words = ("--lm", labels, "--alpha", found[1], "--beta", found[2], "--beam", 20, "--json", "--hotwords", "bbb=30")
    again = karussell("evaluate", trained, data / "test.jsonl", *words)
    assert json.loads(again.stdout) == result


def test_phrases_and_a_lexicon_decide_what_is_predicted(karussell: Karussell, data: Path, trained: Path) -> None:
    row = json.loads((data / "test.jsonl").read_text().splitlines()[0])
    file, text = data / row["audio"], row["text"]
    assert karussell("predict", trained, file).stdout.strip() == text
    # a phrase a letter longer than what is said
    done = karussell("predict", trained, file, "--hotwords", f"{text}{text[0]}=200")
    assert done.returncode == 0, done.stderr
    assert f"{text}{text[0]}" in done.stdout
    (data / "lexicon.txt").write_text("a\nb\n")
    done = karussell("predict", trained, file, "--lexicon", data / "lexicon.txt", "--json")
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["text"]) <= set("ab ")


def test_what_cannot_be_asked_is_one_sentence(
    karussell: Karussell, data: Path, trained: Path, labels: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.txt").write_text("xyz\n")
    (tmp_path / "broken.arpa").write_text("\\data\\\nngram 1=3\n")
    cases = [
        (("evaluate", trained, data / "test.jsonl", "--tune", data / "test.jsonl"), "give one with --lm"),
        (("evaluate", trained, data / "test.jsonl", "--changes", tmp_path / "page.html"), "give --lm, --lexicon or"),
        (("evaluate", trained, data / "test.jsonl", "--lm", tmp_path / "none.arpa"), "none.arpa"),
        (("evaluate", trained, data / "test.jsonl", "--lm", tmp_path / "broken.arpa"), "broken.arpa"),
        (("evaluate", trained, data / "test.jsonl", "--lexicon", tmp_path / "other.txt"), "which is no label"),
        (("predict", trained, data / "1-0.wav", "--hotwords", "ab=much"), "is no number"),
        (("predict", trained, "--live", "--lm", labels), "follows the best path"),
        (("predict", trained, data / "1-0.wav", "--beam", -1, "--lm", labels), "must not be negative"),
    ]
    for words, sentence in cases:
        done = karussell(*words, input="")
        assert done.returncode == 2, words
        assert sentence in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stdout == ""
