"""pyctcdecode's call and folder, Hugging Face's vocabulary, flashlight's files."""

import json
import math

import numpy as np
import pytest
import torch
from search_oracle import Asked, arpa, exhaustive, random_log_probs

from karussell.ctc.doors import (
    Alphabet,
    BeamSearchDecoderCTC,
    build_ctcdecoder,
    read_flashlight_tokens,
    read_vocabulary,
)
from karussell.ctc.lm import LanguageModel
from karussell.ctc.search import Beam, Decoder, Lexicon, Weights, Writing, read_tokens
from karussell.errors import InputError

WIDE = {"beam_width": 10_000, "beam_prune_logp": -1e9, "token_min_logp": -1e9}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return arpa(tmp_path_factory.mktemp("m") / "words.arpa", ["a", "ab", "b", "bb"], 1)


def test_labels_by_their_conventions():
    assert Alphabet.build(["<pad>", "|", "a", "<unk>"]) == Alphabet(["", " ", "a", "⁇"], False)
    assert Alphabet.build(["a", " ", "_"]) == Alphabet(["a", " ", ""], False)
    assert Alphabet.build(["a", " "]) == Alphabet(["a", " ", ""], False)
    assert Alphabet.build(["[PAD]", "a", "##b"]) == Alphabet(["", "▁a", "b"], True)
    assert Alphabet.build(["▁a", "b", "<unk>", ""]) == Alphabet(["▁a", "b", "▁⁇▁", ""], True)
    assert Alphabet.build(["▁a", "b", ""]).writing().text([0, 1, 0]) == "ab a"
    with pytest.raises(InputError, match="'a' is there twice"):
        Alphabet.build(["a", "a"])
    with pytest.raises(InputError, match="more than one blank"):
        Alphabet.build(["", "<pad>", "a"])


@pytest.mark.parametrize("labels", [["a", "b", " ", ""], ["", "a", "b", "|"], ["▁a", "b", "", "▁ab"]])
def test_scores_are_those_of_the_formula(labels, words):
    alphabet, model = Alphabet.build(labels), LanguageModel.load(words)
    weights = Weights(word=0.6, word_bonus=0.9, unknown=0.6 * -2.0 * math.log(10))
    log_probs = random_log_probs(1, 5, 4)
    wanted = exhaustive(log_probs, Asked(alphabet.writing(), word_model=model, weights=weights))
    decoder = build_ctcdecoder(labels, str(words), alpha=0.6, beta=0.9, unk_score_offset=-2.0)
    beams = decoder.decode_beams(log_probs, **WIDE)
    assert sorted(b.lm_score for b in beams) == pytest.approx(sorted(s.score for s in wanted.values()), abs=1e-5)
    best = max(wanted.values(), key=lambda s: s.score)
    text, _, frames, logit_score, lm_score = beams[0]
    assert (logit_score, lm_score) == pytest.approx((best.acoustic, best.score), abs=1e-5)
    assert text == decoder.decode(log_probs, **WIDE) == " ".join(word for word, _ in frames)
    assert all(isinstance(first, int) and first < last for _, (first, last) in frames)


def test_unigrams_are_the_known_words(words):
    log_probs = random_log_probs(3, 5, 4)
    asked = Asked(
        Writing(("a", "b", " ", ""), 3),
        words=("ab", "bb"),
        word_model=LanguageModel.load(words),
        weights=Weights(word=0.5, word_bonus=1.5, unknown=0.5 * -10.0 * math.log(10)),
    )
    best = max(exhaustive(log_probs, asked).values(), key=lambda s: s.score)
    decoder = build_ctcdecoder(["a", "b", " ", ""], words, unigrams=["bb", "ab", "of another language"])
    assert decoder.decode_beams(log_probs, **WIDE)[0].lm_score == pytest.approx(best.score, abs=1e-5)


def test_logits_probabilities_and_tensors_are_the_same():
    decoder = build_ctcdecoder(["a", "b", " ", ""])
    log_probs = random_log_probs(2, 20, 4)
    wanted = decoder.decode_beams(log_probs)
    for same in (log_probs + 3.0, np.exp(log_probs), torch.from_numpy(log_probs)):
        found = decoder.decode_beams(same)
        assert [beam.text for beam in found] == [beam.text for beam in wanted]
        assert [beam.lm_score for beam in found] == pytest.approx([beam.lm_score for beam in wanted], abs=1e-4)


def test_batches_and_hot_words(words):
    decoder = build_ctcdecoder(["a", "b", " ", ""], words)
    batch = [random_log_probs(seed, 10 + seed, 4) for seed in range(5)]
    assert decoder.decode_batch(None, batch) == [decoder.decode(each) for each in batch]
    beams = decoder.decode_beams_batch(None, batch, beam_width=7)
    for each, found in zip(batch, beams, strict=True):
        assert found == [(b.text, b.text_frames, *b[3:]) for b in decoder.decode_beams(each, beam_width=7)]
    boosted = decoder.decode(batch[0], hotwords=["bb a"], hotword_weight=50.0, **WIDE)
    assert "bb a" in boosted
    assert decoder.decode_batch(None, []) == []


def test_a_start_state_is_the_text_before(words):
    decoder = build_ctcdecoder(["a", "b", " ", ""], words)
    model = LanguageModel.load(words)
    log_probs = random_log_probs(4, 4, 4)
    first = decoder.decode_beams(log_probs, **WIDE)[0]
    for beam in decoder.decode_beams(log_probs, **WIDE, lm_start_state=first.last_lm_state)[:5]:
        state = model.begin()
        for word in first.text.split():
            _, state = model.score(state, word)
        total = 0.0
        for word in beam.text.split():
            log_p, state = model.score(state, word)
            total += 0.5 * (log_p + (0.0 if word in model else -10.0 * math.log(10))) + 1.5
        total += 0.5 * model.end(state)
        assert beam.lm_score - beam.logit_score == pytest.approx(total, abs=1e-5)


def test_the_folder_goes_both_ways(words, tmp_path):
    made = build_ctcdecoder(["<pad>", "|", "a", "b"], words, unigrams=["a", "ab"], alpha=0.7, lm_score_boundary=False)
    made.save_to_dir(tmp_path / "saved")
    assert json.loads((tmp_path / "saved/alphabet.json").read_text()) == {
        "labels": ["", " ", "a", "b"],
        "is_bpe": False,
    }
    inside = tmp_path / "saved" / "language_model"
    assert sorted(p.name for p in inside.iterdir()) == ["attrs.json", "unigrams.txt", "words.arpa"]
    assert (inside / "unigrams.txt").read_text() == "a\nab\n"
    read = BeamSearchDecoderCTC.load_from_dir(tmp_path / "saved")
    log_probs = random_log_probs(5, 12, 4)
    assert read.decode_beams(log_probs) == made.decode_beams(log_probs)
    made.reset_params(alpha=0.0, beta=0.0)
    assert made.decode_beams(log_probs)[0].lm_score != read.decode_beams(log_probs)[0].lm_score
    build_ctcdecoder(["a", ""]).save_to_dir(tmp_path / "plain")
    assert BeamSearchDecoderCTC.load_from_dir(tmp_path / "plain").decode(random_log_probs(6, 4, 2)) in ("", "a", "aa")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("alphabet.json", "[1]", "is no alphabet"),
        ("alphabet.json", '{"labels": ["a", 1], "is_bpe": false}', "is no alphabet"),
        ("alphabet.json", "{", "is no JSON"),
        ("language_model/attrs.json", '{"alpha": 1}', "must be an object with alpha, beta"),
        ("language_model/other.arpa", "", "has 2 files that could be the model"),
    ],
)
def test_a_broken_folder_is_an_error(words, tmp_path, name, content, sentence):
    build_ctcdecoder(["a", "b", " ", ""], words).save_to_dir(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=sentence):
        BeamSearchDecoderCTC.load_from_dir(tmp_path)


def test_vocabulary_of_hugging_face(tmp_path):
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps({"|": 1, "<pad>": 0, "E": 2, "<unk>": 3}))
    assert read_vocabulary(path) == ["<pad>", "|", "E", "<unk>"]
    assert build_ctcdecoder(read_vocabulary(path)).decode(np.log(np.eye(4)[[2, 2, 1, 0, 2]] + 1e-9)) == "E E"
    for content, sentence in (
        ('{"a": 1}', "no label has the number 0"),
        ('["a"]', "is no vocabulary"),
        ('{"a": "b"}', "is no vocabulary"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=sentence):
            read_vocabulary(path)


def test_flashlight_files(tmp_path, words):
    (tmp_path / "tokens.txt").write_text("-\n|\na\nb\n")
    (tmp_path / "lexicon.txt").write_text("a\ta |\nab\ta b |\nbb b b |\nab b a |\n")
    assert read_tokens(tmp_path / "tokens.txt") == ("-", "|", "a", "b")
    writing = read_flashlight_tokens(tmp_path / "tokens.txt")
    lexicon = Lexicon.read(tmp_path / "lexicon.txt")
    assert lexicon == Lexicon(("a", "ab", "bb", "ab"), (("a", "|"), ("a", "b", "|"), ("b", "b", "|"), ("b", "a", "|")))
    lexicon.write(tmp_path / "again.txt")
    assert Lexicon.read(tmp_path / "again.txt") == lexicon
    decoder = Decoder(writing, lexicon=lexicon, word_model=LanguageModel.load(words), beam=Beam(width=0))
    asked = Asked(
        writing, lexicon.words, lexicon.spellings, adjoined=True, word_model=LanguageModel.load(words), closed=True
    )
    log_probs = random_log_probs(1, 6, 4)
    best = max(exhaustive(log_probs, asked).items(), key=lambda item: item[1].score)
    [found] = decoder.decode(log_probs[:, None])
    assert (found.tokens, tuple(word.text for word in found.words)) == best[0]
    assert all(word.known for word in found.words)
    (tmp_path / "mixed.txt").write_text("a a |\nb\n")
    with pytest.raises(InputError, match="line 2: the word has no spelling"):
        Lexicon.read(tmp_path / "mixed.txt")
    with pytest.raises(InputError, match="has no label '#' for the blank"):
        read_flashlight_tokens(tmp_path / "tokens.txt", blank="#")
