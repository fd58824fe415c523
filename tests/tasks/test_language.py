"""A transcriber with a language model, a lexicon and phrases."""

from dataclasses import replace

import numpy as np
import pytest
from tones import RATE, sound, tones

from karussell.ctc.lm import train
from karussell.errors import InputError
from karussell.tasks import Transcriber
from karussell.tasks.language import Language, changes_page, decoder, parse_hotwords, tune


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("language")
    lines = [" ".join(u.text) for u in tones(60, 8)]
    (folder / "text").write_text("\n".join(lines) + "\n")
    train(folder / "text", 2, discount_fallback=(0.5, 1.0, 1.5)).model.save(folder / "labels.ngram")
    (folder / "lexicon.txt").write_text("ab\nc\n")
    return folder


def test_without_language_nothing_changes(model: Transcriber):
    data = tones(10, 3)
    plain = model.transcribe(data)
    beam = model.knows(Language(beam=50)).transcribe(data)
    assert [h.text for h in beam] == [h.text for h in plain]
    for a, b in zip(beam, plain, strict=True):
        assert a.starts == pytest.approx(b.starts)
    assert model.knows(None).transcribe(data) == plain


def test_phrases_and_a_lexicon_decide(model: Transcriber, files):
    samples = sound("cab", np.random.default_rng(7))
    assert model.predict(samples, RATE).text == "cab"
    boosted = model.knows(Language(hotwords={"cbb": 60.0})).predict(samples, RATE)
    assert "cbb" in boosted.text
    assert boosted.boost == pytest.approx(60.0 * boosted.text.count("cbb"))
    found = model.knows(Language(lexicon=files / "lexicon.txt")).predict(samples, RATE)
    assert [word.text for word in found.words] == ["c", "ab"]
    assert found.words[0].end <= found.words[1].start


def test_a_long_recording_keeps_its_words(model: Transcriber, files):
    chance = np.random.default_rng(6)
    samples = np.concatenate([sound("cab", chance) for _ in range(4)])
    model.config = replace(model.config, longest=2.0)
    found = model.knows(Language(lexicon=files / "lexicon.txt", lm=None)).predict(samples, RATE)
    assert [word.text for word in found.words] == ["c", "ab"] * 4
    assert [word.start for word in found.words] == sorted(word.start for word in found.words)
    assert found.score == pytest.approx(found.acoustic + found.language + found.boost)


def test_weights_are_found_on_validation_data(model: Transcriber, files):
    data = tones(6, 5)
    best, rows = tune(model, data, Language(lm=files / "labels.ngram"))
    assert min(row["rate"] for row in rows) == next(
        row["rate"] for row in rows if (row["alpha"], row["beta"]) == (best.alpha, best.beta)
    )
    plain = model.transcribe(data)
    after = model.knows(replace(best, hotwords={"aa": 9.0})).transcribe(data)
    page = changes_page(model, data, plain, after, (model.score(data, plain), model.score(data, after)), best)
    changed = sum(a.text != b.text for a, b in zip(plain, after, strict=True))
    assert f"{changed} of 6" in page
    assert page.count("<h3>") == changed


def test_hotwords_as_they_are_written():
    assert parse_hotwords(["new york=2.5", "x=-1", "plain"]) == {"new york": 2.5, "x": -1.0, "plain": 5.0}
    with pytest.raises(InputError, match="'y' of 'x=y' is no number"):
        parse_hotwords(["x=y"])


def test_a_lexicon_of_other_letters_is_refused(model: Transcriber, tmp_path):
    (tmp_path / "lexicon.txt").write_text("xyz\n")
    with pytest.raises(InputError, match="spells 'xyz' with 'x', which is no label"):
        decoder(model, Language(lexicon=tmp_path / "lexicon.txt"))
