"""Answers while data comes: the same as of the whole, or in chunks with a stated latency."""

from dataclasses import replace

import numpy as np
import pytest
from sequences import measured, waves, words
from untrained import classifier, forecaster, hours, tagger

from karussell.errors import InputError
from karussell.tasks.streams import last


@pytest.mark.parametrize("spelled", [True, False])
def test_a_chunk_that_holds_everything_is_the_whole(spelled: bool) -> None:
    model = tagger(spelled=spelled)
    [example] = (words if spelled else measured)(1, 5)
    [whole] = model.predict([example])
    steps = list(zip(*example.columns, strict=True)) if spelled else example.values
    stream = model.stream(chunk=1000)
    assert stream.push(steps[:3]) == stream.push(steps[3:]) == []
    tags = stream.finish()
    assert [tag.step for tag in tags] == list(range(example.steps))
    assert tuple(tag.label for tag in tags) == whole.labels
    assert tuple(tag.confidence for tag in tags) == whole.confidences
    assert stream.finish() == []
    with pytest.raises(RuntimeError, match="push after finish"):
        stream.push(steps)


def test_tags_come_within_their_latency_and_the_past_is_let_go() -> None:
    model = tagger(spelled=False)
    values = np.random.default_rng(0).normal(size=(300, 2))
    stream = model.stream(chunk=5, left=20, right=7)
    assert stream.latency == 12
    found = []
    for at in range(0, 300, 3):
        found += stream.push(values[at : at + 3])
        assert at + 3 - len(found) < stream.latency
        assert len(stream._kept._values) <= 5 + 20 + 7 + 5
    found += stream.finish()
    assert [tag.step for tag in found] == list(range(300))
    # however it was cut, chunks are the same
    again = model.stream(chunk=5, left=20, right=7)
    assert again.push(values) + again.finish() == found


def test_labels_are_those_of_the_steps_so_far_and_of_windows() -> None:
    model = classifier(channels=2)
    [example] = waves(1, 9, channels=2)
    stream = model.stream(every=6)
    said = [label for row in example.values for label in stream.push(row[None])] + stream.finish()
    ends = [label.steps for label in said]
    assert ends == [*range(6, example.steps + 1, 6)] + ([example.steps] if example.steps % 6 else [])
    from karussell.data.labelled import Example

    for label in said:
        [expected] = model.predict([Example("part", example.values[: label.steps])])
        assert label.answer.label == expected.label
        assert label.answer.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    window = model.stream(every=4, window=8)
    for label in window.push(example.values):
        [expected] = model.predict([Example("part", example.values[max(0, label.steps - 8) : label.steps])])
        assert label.answer.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    assert len(window._kept._values) <= 8 + 4


def test_words_are_classified_as_they_come() -> None:
    stream = classifier(spelled=True).stream(every=2)
    assert [label.steps for label in stream.push(["Who", "w1", "w2", "?"])] == [2, 4]


@pytest.mark.parametrize("distribution", ["quantiles", "student_t"])
def test_forecasts_are_those_of_all_rows(distribution: str) -> None:
    pytest.importorskip("pandas", reason="forecasts are tables of pandas")
    model, data = forecaster(distribution), hours(160)
    stream, at = model.stream(), 0
    for count in (1, 2, 47, 1, 60, 49):
        at += count
        early = data.head([at])
        rows = replace(data, series=(last(early.series[0], count, data.step.size),))
        found, expected = stream.push(rows), model.predict(early)
        assert found["ds"].tolist() == expected["ds"].tolist()
        names = [name for name in found if name not in ("unique_id", "ds")]
        np.testing.assert_allclose(found[names], expected[names], rtol=1e-5)
        assert len(stream._kept["one"]) <= model.config.context
    with pytest.raises(InputError, match="not after the end"):
        stream.push(rows)


def test_the_last_values_lie_where_they_lay() -> None:
    data = hours(100)
    kept = last(data.series[0], 30, data.step.size)
    assert data.times(kept, 0, 1).tolist() == data.times(data.series[0], 70, 1).tolist()
    assert len(kept.known) == 30 + 24


def test_what_cannot_be_streamed_is_one_sentence() -> None:
    for make in (lambda: tagger().stream(chunk=0), lambda: classifier().stream(every=0)):
        with pytest.raises(InputError, match="needed"):
            make()
    with pytest.raises(InputError, match="2 tokens a step"):
        tagger().stream().push([("one",)])
    with pytest.raises(InputError, match=r"\[n, 2\]"):
        tagger(spelled=False).stream().push(np.zeros((4, 3)))
    with pytest.raises(InputError, match="give a window"):
        classifier().stream(every=100_000).push(np.zeros(100_001))
