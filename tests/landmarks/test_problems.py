"""The generated problems: sizes, symbols and targets as they were published, by slow programs of their own."""

import numpy as np
import pytest

from karussell.data.problems import (
    Sequences,
    adding,
    delayed_recall,
    distracted_recall,
    multiplication,
    temporal_order,
    two_sequences,
)
from karussell.data.problems.lags import clean_targets
from karussell.data.problems.languages import strings
from karussell.data.problems.order import PLACES
from karussell.data.problems.reber import SYMBOLS, continual, sets
from karussell.data.problems.sequences import from_lengths
from karussell.data.problems.timing import generating, measuring, periodic
from karussell.data.problems.waveforms import waveform

ARCS = {
    1: {"T": 2, "P": 3},
    2: {"S": 2, "X": 4},
    3: {"T": 3, "V": 5},
    4: {"X": 3, "S": 6},
    5: {"P": 4, "V": 6},
    6: {"E": 7},
}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pieces(sequences: Sequences, values: np.ndarray) -> list[np.ndarray]:
    return np.split(values, sequences.starts[1:-1])


def followers(text: str) -> list[str]:
    """What may follow each prefix of an embedded Reber string, by walking the graph."""
    found, node = ["TP", "B"], 1
    for letter in text[3:-2]:
        found.append("".join(ARCS[node]))
        node = ARCS[node][letter]
    assert node == 7
    return [*found, text[1], "E", ""]


def spelled(symbols: np.ndarray) -> str:
    return "".join(SYMBOLS[k] for k in symbols)


def test_embedded_reber_strings_and_what_may_follow() -> None:
    stream = continual(rng(), 200)
    lengths = stream.lengths
    assert lengths.min() >= 9
    assert abs(lengths.mean() - 12) < 1
    assert len(set(map(bytes, pieces(stream, stream.symbols)))) > 20
    for symbols, legal in zip(pieces(stream, stream.symbols), pieces(stream, stream.targets), strict=True):
        text = spelled(symbols)
        assert (text[0], text[-1], text[1]) == ("B", "E", text[-2])
        wanted = [*followers(text)[:-1], "B"]
        assert [sorted(spelled(np.flatnonzero(row))) for row in legal] == [sorted(w) for w in wanted]


def test_reber_sets_have_no_string_in_common() -> None:
    train, legal, test, _ = sets(rng(), 64)
    first, second = ({bytes(p) for p in pieces(s, s.symbols)} for s in (train, test))
    assert len(train) == len(test) == 64
    assert not first & second
    assert legal[np.arange(len(legal)), train.targets.argmax(1)].all()


@pytest.mark.parametrize("marks", [2, 3])
def test_temporal_order(marks: int) -> None:
    made = temporal_order(rng(), 300, marks)
    assert set(made.lengths) == set(range(100, 111))
    for symbols, target in zip(pieces(made, made.symbols), made.targets, strict=True):
        assert (symbols[0], symbols[-1]) == (0, 1)
        places = np.flatnonzero(symbols >= 6)
        assert len(places) == marks
        assert all(low <= place <= high for place, (low, high) in zip(places, PLACES[marks], strict=True))
        code = int("".join(str(s - 6) for s in symbols[places]), 2)
        assert target.argmax() == code
        assert target.sum() == 1
        assert set(symbols[1:-1]) <= {2, 3, 4, 5, 6, 7}


@pytest.mark.parametrize(("draw", "neutral"), [(adding, 0.0), (multiplication, 1.0)])
def test_marked_numbers(draw, neutral: float) -> None:
    made = draw(rng(), 500, 100)
    assert made.lengths.min() >= 100
    assert made.lengths.max() <= 110
    seen_first = False
    for pairs, target in zip(pieces(made, made.x), made.targets[:, 0], strict=True):
        marked = np.flatnonzero(pairs[:, 1] == 1.0)
        assert len(marked) == 2
        assert marked.min() < 10
        assert marked.max() < 50
        assert pairs[-1, 1] == -1.0
        seen_first |= marked[0] == 0
        values = [neutral if k == 0 else pairs[k, 0] for k in marked]
        wanted = 0.5 + sum(values) / 4 if draw is adding else values[0] * values[1]
        assert target == pytest.approx(wanted)
    assert seen_first


def test_delayed_recall() -> None:
    for local in (True, False):
        made = delayed_recall(rng(), 20, 10, local=local)
        assert made.inputs == 11
        for symbols, target in zip(pieces(made, made.symbols), pieces(made, made.targets), strict=True):
            assert symbols[0] in (9, 10)
            assert target[-1].argmax() == symbols[0]
            assert (target[:-1].argmax(1) == symbols[1:]).all()
            assert (symbols[1:] == np.arange(9)).all() == local


def test_distracted_recall() -> None:
    made = distracted_recall(rng(), 2000, 20, 7)
    assert made.inputs == 11
    # b, x or y, q distractors, nine more on average, e
    assert abs(made.lengths.mean() - (2 + 20 + 10)) < 1
    for symbols, target in zip(pieces(made, made.symbols)[:100], made.targets, strict=False):
        assert (symbols[0], symbols[-1]) == (9, 10)
        assert symbols[1] == 7 + target.argmax()
        assert symbols[2:-1].max() < 7
        assert len(symbols) >= 23


def test_two_sequences() -> None:
    made = two_sequences(rng(), 400, 100, 3)
    assert abs(np.concatenate([p[3:] for p in pieces(made, made.x)]).var() - 0.2) < 0.01
    for x, target in zip(pieces(made, made.x[:, 0]), made.targets[:, 0], strict=True):
        assert (x[:3] == (1.0 if target else -1.0)).all()
    noisy = two_sequences(rng(), 2000, 10, 1, variant="c")
    clean = clean_targets(noisy, 1)
    assert set(np.round(clean, 3)) == {0.2, 0.8}
    # class and informative element agree but for noise on the target
    assert abs((noisy.targets[:, 0] - clean).var() - 0.1) < 0.01


def test_counting_languages() -> None:
    made = strings("anbn", [(3,)])
    assert made.symbols.tolist() == [0, 1, 1, 1, 2, 2, 2]
    legal = [np.flatnonzero(row).tolist() for row in made.targets]
    assert legal == [[1], [1, 2], [1, 2], [1, 2], [2], [2], [0]]
    made = strings("anbmBmAn", [(2, 1)])
    assert made.symbols.tolist() == [0, 1, 1, 2, 3, 4, 4]
    legal = [np.flatnonzero(row).tolist() for row in made.targets]
    assert legal == [[1], [1, 2], [1, 2], [2, 3], [4], [4], [0]]
    assert strings("anbncn", [(1,), (2,)]).symbols.tolist() == [0, 1, 2, 3, 0, 1, 1, 2, 2, 3, 3]


def test_timing() -> None:
    measured = measuring(rng(), 50, 10, (0, 1))
    spikes = np.flatnonzero(measured.x[:, 0])
    assert (np.diff(spikes) == 10 + measured.targets[:, 0]).all()
    assert (np.flatnonzero(measured.due) == spikes[1:]).all()
    produced = generating(rng(), 50, 10, (0, 1))
    ends = np.flatnonzero(produced.targets[:, 0])
    assert (np.diff(ends) == 10 + produced.x[ends[1:], 0]).all()
    assert periodic(2, 10).targets[[0, 5, 10], 0].tolist() == pytest.approx([0, 1, 0])
    with pytest.raises(ValueError, match="must be one of"):
        periodic(1, 10, "sawtooth")
    assert np.abs(waveform(3)).max() == pytest.approx(1.0)


def test_padding_puts_every_step_in_its_place() -> None:
    made = Sequences(
        from_lengths([2, 3]), 2, np.array([False, True, True, False, True]), np.arange(3.0)[:, None],
        symbols=np.array([0, 1, 1, 0, 1], np.int32),
    )  # fmt: skip
    padded = made.padded()
    assert padded.x.shape == (3, 2, 2)
    assert padded.x[:, 0].tolist() == [[1, 0], [0, 1], [0, 0]]
    assert padded.targets[:, 1, 0].tolist() == [1, 0, 2]
    assert padded.due.tolist() == [[False, True], [True, False], [False, True]]
    again = made.chosen(np.array([1, 1, 0]))
    assert again.symbols.tolist() == [1, 0, 1, 1, 0, 1, 0, 1]
    assert again.targets[:, 0].tolist() == [1, 2, 1, 2, 0]
    assert made.worst(np.zeros((3, 1))).tolist() == [0, 2]
    assert made.mean(np.zeros((3, 1))).tolist() == [0, 1.5]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="either symbols or x"):
        Sequences(from_lengths([1]), 1, np.ones(1, bool), np.zeros((1, 1)))
    with pytest.raises(ValueError, match="2 targets and 1 flags"):
        Sequences(from_lengths([1]), 1, np.ones(1, bool), np.zeros((2, 1)), x=np.zeros((1, 1)))
