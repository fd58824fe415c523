"""The torch-free runtime says what the model in torch says, whole and in pieces."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from karussell import runtime
from karussell.data.audio import write_audio
from karussell.errors import InputError
from random_models import RATE, random_transcriber, recording

# float32 sums in another order, through logarithms of small energies
CLOSE = 2e-4
MODELS = {
    "plain": {},
    "causal": {"causal": True},
    "causal, deep": {"causal": True, "layers": 3, "context": 2},
    "both ways, deep": {"layers": 2, "blank": 2},
    "no context": {"context": 0, "causal": True},
    "no convolutions": {"channels": 0, "causal": True},
    "training mean only": {"prior": None, "floor": None},
    "own mean, any level": {"floor": None},
    "level alone": {"prior": None},
    "words": {"unit": "word", "causal": True},
    "another rate": {"rate": 11025},
}


def made(tmp_path: Path, name: str):
    model = random_transcriber(**MODELS[name])
    model.save(tmp_path / "model")
    return model, runtime.load(tmp_path / "model")


@pytest.mark.parametrize("name", MODELS)
def test_posteriors_are_those_of_torch(tmp_path: Path, name: str) -> None:
    model, loaded = made(tmp_path, name)
    for seconds in (0.05, 0.137, 0.5, 1.3, 2.0):
        samples = recording(seconds, rate=loaded.rate)
        [expected] = model.posteriors([samples])
        found = loaded.engine.posteriors(samples)
        assert found.shape == tuple(expected.shape)
        assert np.abs(np.exp(found) - expected.exp().numpy()).max() < CLOSE


@pytest.mark.parametrize("name", ["plain", "causal", "words"])
def test_a_transcript_is_the_one_of_torch(tmp_path: Path, name: str) -> None:
    model, loaded = made(tmp_path, name)
    samples = recording(3.0, seed=2)
    expected, found = model.predict(samples, RATE), loaded.predict(samples, RATE)
    assert found.text == expected.text
    assert found.tokens == expected.tokens
    assert len(found.tokens) > 3
    assert found.starts == pytest.approx(expected.starts)
    assert found.ends == pytest.approx(expected.ends)
    assert found.confidences == pytest.approx(expected.confidences, abs=CLOSE)
    assert found.score == pytest.approx(expected.score, abs=0.05)


@pytest.mark.parametrize("name", [name for name, given in MODELS.items() if given.get("causal")])
def test_a_causal_stream_is_the_whole_bit_for_bit(tmp_path: Path, name: str) -> None:
    _, loaded = made(tmp_path, name)
    samples = recording(2.0, rate=loaded.rate)
    whole = loaded.predict(samples, loaded.rate)
    chance = np.random.default_rng(3)
    for _ in range(3):
        cuts = np.sort(chance.integers(0, len(samples), 12))
        stream = loaded.stream(whole=True)
        labels = [label for part in np.split(samples, cuts) for label in stream.push(part)]
        labels += stream.finish()
        assert tuple(label.token for label in labels) == whole.tokens
        assert tuple(label.confidence for label in labels) == whole.confidences
        assert stream.finish() == []


def test_a_causal_stream_answers_within_its_latency(tmp_path: Path) -> None:
    _, loaded = made(tmp_path, "causal")
    rows = 0
    stream = runtime.stream.Posteriors(loaded.engine, 0)
    for heard in range(400, 16001, 400):
        rows += len(stream.push(recording(2.0)[heard - 400 : heard]))
        certain = heard / RATE - loaded.stream().latency
        assert rows >= int(certain / loaded.plan.step_seconds)


@pytest.mark.parametrize("name", ["plain", "own mean, any level"])
def test_a_model_that_needs_the_whole_runs_in_chunks(tmp_path: Path, name: str) -> None:
    _, loaded = made(tmp_path, name)
    samples = recording(7.3)
    with pytest.raises(InputError, match="needs the whole recording"):
        loaded.stream(whole=True)
    stream = loaded.stream(chunk=0.6, left=1.2, right=0.6)
    assert stream.latency == pytest.approx(1.2)
    labels = [label for part in np.split(samples, 20) for label in stream.push(part)]
    labels += stream.finish()
    assert labels
    assert len(stream._kept) <= 4 * RATE
    # one chunk that holds everything is the whole
    alone = loaded.stream(chunk=30, left=30, right=30)
    assert alone.push(samples) == []
    assert tuple(label.token for label in alone.finish()) == loaded.predict(samples, RATE).tokens


def test_streams_share_a_model_and_do_not_disturb_one_another(tmp_path: Path) -> None:
    _, loaded = made(tmp_path, "causal")
    recordings = [recording(1.0, seed) for seed in range(3)]
    streams = [loaded.stream() for _ in recordings]
    labels: list[list] = [[] for _ in recordings]
    for at in range(0, RATE, 500):
        for stream, samples, found in zip(streams, recordings, labels, strict=True):
            found += stream.push(samples[at : at + 500])
    for stream, samples, found in zip(streams, recordings, labels, strict=True):
        found += stream.finish()
        assert tuple(label.token for label in found) == loaded.predict(samples, RATE).tokens


def test_a_wav_file_is_read_without_anything_else(tmp_path: Path) -> None:
    model, loaded = made(tmp_path, "plain")
    write_audio(tmp_path / "one.wav", recording(1.0), RATE)
    assert loaded.predict(tmp_path / "one.wav").tokens == model.predict(tmp_path / "one.wav").tokens


def test_long_recordings_are_cut_where_torch_cuts_them(tmp_path: Path) -> None:
    model, loaded = made(tmp_path, "causal")
    samples = recording(45.0)
    assert loaded.predict(samples, RATE).tokens == model.predict(samples, RATE).tokens


def test_refusals(tmp_path: Path) -> None:
    _, loaded = made(tmp_path, "causal")
    good = recording(1.0)
    with pytest.raises(InputError, match="came without a rate"):
        loaded.predict(good)
    with pytest.raises(InputError, match="the model hears 8000"):
        loaded.predict(good, 16000)
    with pytest.raises(InputError, match="one row of floats"):
        loaded.predict(good[None], RATE)
    with pytest.raises(InputError, match="needed at least"):
        loaded.predict(good[:100], RATE)
    with pytest.raises(InputError, match="there is no audio file"):
        loaded.predict(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("a letter")
    with pytest.raises(InputError, match="no wav file"):
        loaded.predict(tmp_path / "text.wav")
    bad = good.copy()
    bad[7] = np.nan
    with pytest.raises(InputError, match="not numbers"):
        loaded.stream().push(bad)
    with pytest.raises(InputError, match="needed 0 to 60 s"):
        made(tmp_path / "other", "plain")[1].stream(chunk=-1)
    stream = loaded.stream()
    stream.finish()
    with pytest.raises(RuntimeError, match="push after finish"):
        stream.push(good)
