"""The tagger learns, keeps to legal labels, looks at nothing it should not, and comes back from disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sequences import WORDS, measured, words

from karussell.data.labelled import Example
from karussell.errors import InputError
from karussell.tasks.config import from_json, to_json
from karussell.tasks.sequences.encoder import EncoderConfig
from karussell.tasks.sequences.words import UNKNOWN, Tokens, spelling
from karussell.tasks.tag.config import TaggerConfig, defaults
from karussell.tasks.tag.floor import Floor
from karussell.tasks.tag.network import legal
from karussell.tasks.tag.reporting import train_tagger
from karussell.tasks.tagger import Tagger, held_out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "words"
    train_tagger(words(60, 1), None, out, WORDS, title="Words")
    return out


@pytest.fixture
def model(folder: Path) -> Tagger:
    return Tagger.load(folder)


def test_labels_that_need_context_are_learned_far_above_the_floor(model: Tagger) -> None:
    found = model.evaluate(words(30, 2))
    f1, accuracy = found["scores"]
    assert (f1["name"], accuracy["name"]) == ("chunk F1", "accuracy")
    assert f1["value"] > 0.9
    assert f1["floor"] < 0.8
    assert f1["low"] <= f1["value"] <= f1["high"]
    assert found["types"]["to"]["there"] == 30


def test_the_folder_holds_a_report_and_a_result(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    for heading in ("Types", "Confusions", "chunk F1", "held out"):
        assert heading in page
    assert (folder / "result.json").exists()
    assert not (folder / "checkpoints").exists()


def test_steps_with_measurements_are_learned(tmp_path: Path) -> None:
    network = EncoderConfig(channels=(12,), widths=(3,), hidden=8, dropout=0.1)
    model = Tagger.fit(measured(40, 1), measured(10, 2), tmp_path, replace(WORDS, network=network))
    [accuracy] = model.evaluate(measured(20, 3))["scores"]
    assert accuracy["name"] == "accuracy"
    assert accuracy["value"] > 0.8 > accuracy["floor"]


def test_answers_have_confidences(model: Tagger) -> None:
    data = words(5, 3)
    for example, answer in zip(data, model.predict(data), strict=True):
        assert len(answer.labels) == len(answer.confidences) == example.steps
        assert all(0 <= sure <= 1 for sure in answer.confidences)
    assert model.predict([]) == []


def test_a_word_seen_only_in_the_test_set_stays_unknown(model: Tagger) -> None:
    before = model.inputs.to_json()
    kinds = ("x", "x", "N")
    new = Example("new", columns=(("fly", "to", "Zagreb"), kinds), tags=("O", "O", "B-to"))
    model.evaluate([new])
    assert model.inputs.to_json() == before
    assert model.inputs(new).numbers[2, 0] == UNKNOWN
    # and the same as any other unknown word that is spelled with unknown letters
    one, other = (Example("q", columns=(("fly", "to", word), kinds)) for word in ("ŽŽŽ", "ÅÅÅ"))
    assert model.predict([one])[0].confidences == model.predict([other])[0].confidences


def test_validation_words_are_not_counted(tmp_path: Path) -> None:
    short = replace(WORDS, train=replace(WORDS.train, epochs=1))
    other = [Example("v", columns=(("Bern",), ("N",)), tags=("B-there",))]
    model = Tagger.fit(words(8, 1), other, tmp_path, short)
    assert "bern" not in model.inputs.columns[0].known
    assert "B-there" not in model.labels
    assert "Bern" not in model.floor.words


def test_an_illegal_label_sequence_is_never_answered(model: Tagger) -> None:
    rng = np.random.default_rng(0)
    tokens = np.array(["to", "from", "New", "York", "fly", "San"])
    rows = [Example(str(k), columns=(tuple(rng.choice(tokens, 8).tolist()), tuple("N" * 8))) for k in range(40)]
    for answer in model.predict(rows):
        before = "O"
        for label in answer.labels:
            assert not label.startswith("I-") or before[:1] + before[2:] in ("B" + label[2:], "I" + label[2:])
            before = label


def test_legal_transitions_are_those_of_the_labels_unless_training_breaks_them() -> None:
    labels = ["B-x", "B-y", "I-x", "O"]
    allowed = legal(labels, [["B-x", "I-x", "O"]])
    assert allowed[:, 2].tolist() == [True, False, True, False, False]
    assert bool(allowed[:, [0, 1, 3, 4]].all())
    assert bool(legal(labels, [["O", "I-x"]]).all())
    assert bool(legal(["H", "E"], [["H", "E"]]).all())


def test_what_was_saved_answers_the_same(model: Tagger, tmp_path: Path) -> None:
    data = words(6, 3)
    model.save(tmp_path / "copy")
    again = Tagger.load(tmp_path / "copy")
    assert again.predict(data) == model.predict(data)
    assert again.evaluate(data) == model.evaluate(data)


def test_padding_and_order_change_nothing(model: Tagger) -> None:
    data = words(9, 4)
    alone = [model.predict([example])[0] for example in data]
    for one, other in zip(model.predict(data), alone, strict=True):
        assert one.labels == other.labels
        assert one.confidences == pytest.approx(other.confidences, abs=1e-4)


def test_words_become_unknown_as_often_as_their_rarity_says(model: Tagger) -> None:
    loader = replace(model.loader(words(400, 1), varied=True), word_dropout=20.0)
    counts = dict(zip(model.inputs.columns[0].known, model.inputs.columns[0].counts, strict=True))
    seen, lost = 0, 0
    number = model.inputs.columns[0].numbers(["rome"])[0]
    for k, batch in enumerate(loader.epoch(0)):
        assert k >= 0
        seen += int((batch.numbers[..., 0] == number).sum())
        lost += int((batch.numbers[..., 0] == UNKNOWN).sum())
    rome = sum(word == "Rome" for example in words(400, 1) for word in example.columns[0])
    expected = 1 - 20 / (20 + counts["rome"])
    assert seen / rome == pytest.approx(expected, abs=0.12)
    assert lost > 0


def test_what_cannot_be_used_is_named_before_anything_is_written(tmp_path: Path) -> None:
    good, out = words(6, 1), tmp_path / "out"
    bare = Example("bare", columns=(("fly",), ("x",)))
    hollow = Example("hollow", columns=(("fly",), ("x",)), tags=("",))
    narrow = Example("narrow", columns=(("fly",),), tags=("O",))
    for train, valid, message in (
        ([*good, bare], None, "'bare' has no labels"),
        ([*good, hollow], None, "'hollow' has an empty label"),
        ([*good, narrow], words(3, 2), "'narrow' has 1 token columns"),
        (good, [narrow], "the model was trained with 2"),
        (good[:1], None, "one sequence is not enough"),
        ([], None, "one sequence is not enough"),
    ):
        with pytest.raises(InputError, match=message):
            Tagger.fit(train, valid, out, WORDS)
    assert not out.exists()


def test_wrong_columns_are_named_at_predict_time(model: Tagger) -> None:
    with pytest.raises(InputError, match="has 1 token columns, and the model was trained with 2"):
        model.predict([Example("narrow", columns=(("fly",),))])
    with pytest.raises(InputError, match="has 3 channels, and the model was trained with 0"):
        model.predict([Example("both", np.ones((1, 3)), (("fly",), ("x",)))])
    with pytest.raises(InputError, match="not one sequence"):
        model.evaluate([])


def test_a_label_never_seen_counts_as_wrong(model: Tagger) -> None:
    data = words(5, 2)
    strange = [Example(e.id, columns=e.columns, tags=tuple("B-new" for _ in e.tags)) for e in data]
    found = model.evaluate(strange)
    assert found["unknown_labels"] == found["steps"]
    assert found["scores"][0]["value"] == 0


def test_the_share_that_is_held_out_follows_from_the_names() -> None:
    data = words(20, 1)
    train, valid = held_out(data, 0.1)
    assert len(valid) == 2
    again, other = held_out(data[::-1], 0.1)
    assert {e.id for e in other} == {e.id for e in valid}
    assert {e.id for e in train} == {e.id for e in again}


def test_the_floor_is_the_most_frequent_label_of_each_word() -> None:
    rows = [(("a", "b"), ("X", "Y")), (("a", "b"), ("X", "Z")), (("a", "b"), ("Y", "Z"))]
    floor = Floor.fit([Example(str(k), columns=(w,), tags=t) for k, (w, t) in enumerate(rows)])
    assert floor.predict([Example("q", columns=(("b", "a", "new"),))]) == [["Z", "X", "X"]]
    assert Floor.from_json(floor.to_json()) == floor
    bare = Floor.fit([Example("m", np.ones((3, 1)), tags=("u", "v", "v"))])
    assert bare.predict([Example("n", np.ones((2, 1)))]) == [["v", "v"]]
    assert bare.name == "most frequent label"


def test_tokens_are_numbered_by_frequency_and_folded() -> None:
    tokens = Tokens.count([["In", "in", "1998", "2001", "x"]], fold=True, least=2)
    assert tokens.known == ("0000", "in")
    assert tokens.numbers(["IN", "1066", "x"]) == [3, 2, UNKNOWN]
    assert Tokens.from_json(tokens.to_json()) == tokens
    assert spelling("a" * 12 + "b" * 40 + "c" * 12) == "a" * 12 + "c" * 12
    with pytest.raises(InputError, match="lists of one length"):
        Tokens.from_json({"known": ["a"], "counts": [], "fold": False})


def test_settings_go_to_json_and_back() -> None:
    for data in (words(3, 1), measured(3, 1)):
        config = defaults(data)
        assert from_json(TaggerConfig, to_json(config)) == config
    with pytest.raises(InputError, match="a tagger answers at every step"):
        replace(WORDS, network=EncoderConfig(halvings=1))
    with pytest.raises(InputError, match="valid_share"):
        replace(WORDS, valid_share=1.0)


def test_the_same_seed_gives_the_same_model(tmp_path: Path) -> None:
    short = replace(WORDS, train=replace(WORDS.train, epochs=2))
    one, other = (Tagger.fit(words(10, 1), words(4, 2), tmp_path / name, short) for name in "ab")
    for name, tensor in one.network.state_dict().items():
        torch.testing.assert_close(tensor, other.network.state_dict()[name], rtol=0, atol=0)
