"""Chunks by the rules of conlleval: cases by hand, and the published loop written out."""

import random

import pytest

from karussell.errors import InputError
from karussell.tasks.tag.score import Chunks, by_type, chunks, count_chunks, interval, is_chunked


def published(truth: list[str], said: list[str]) -> Chunks:
    """The loop of conlleval.pl, its variables and conditions one by one."""

    def ends(before: str, tag: str, kind_before: str, kind: str) -> bool:
        end = False
        for a, b in ("BB", "BO", "IB", "IO", "EE", "EI", "EO"):
            end = end or (before == a and tag == b)
        if before not in ("O", ".") and kind_before != kind:
            end = True
        return end

    def starts(before: str, tag: str, kind_before: str, kind: str) -> bool:
        start = False
        for a, b in ("BB", "IB", "OB", "OI", "EE", "EI", "OE"):
            start = start or (before == a and tag == b)
        if tag not in ("O", ".") and kind_before != kind:
            start = True
        return start

    def split(label: str) -> tuple[str, str]:
        return (label[0], label[2:]) if label != "O" else ("O", "")

    right = found = there = 0
    inside = False
    last_true = last_said = ("O", "")
    for one, other in zip([*truth, "O"], [*said, "O"], strict=True):
        t, s = split(one), split(other)
        end_true = ends(last_true[0], t[0], last_true[1], t[1])
        end_said = ends(last_said[0], s[0], last_said[1], s[1])
        if inside:
            if end_true and end_said and last_said[1] == last_true[1]:
                inside = False
                right += 1
            elif end_true != end_said or s[1] != t[1]:
                inside = False
        start_true = starts(last_true[0], t[0], last_true[1], t[1])
        start_said = starts(last_said[0], s[0], last_said[1], s[1])
        if start_true and start_said and s[1] == t[1]:
            inside = True
        there += start_true
        found += start_said
        last_true, last_said = t, s
    return Chunks(right, found, there)


def test_any_labels_are_counted_as_the_published_loop_counts_them() -> None:
    draw = random.Random(1)
    labels = ["O", "B-X", "I-X", "E-X", "B-Y", "I-Y", "E-Y"]
    for _ in range(3000):
        length = draw.randint(1, 9)
        truth, said = ([draw.choice(labels) for _ in range(length)] for _ in range(2))
        assert count_chunks([truth], [said]) == published(truth, said), (truth, said)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["B-NP", "I-NP", "O", "B-VP"], {(0, 1, "NP"), (3, 3, "VP")}),
        # an I after O, or of another type, begins a chunk
        (["O", "I-NP", "I-VP"], {(1, 1, "NP"), (2, 2, "VP")}),
        (["B-NP", "B-NP"], {(0, 0, "NP"), (1, 1, "NP")}),
        (["O"], set()),
        # only the first hyphen cuts
        (["B-a-b", "I-a-b"], {(0, 1, "a-b")}),
    ],
)
def test_chunks_by_hand(labels: list[str], found: set[tuple[int, int, str]]) -> None:
    assert chunks(labels) == found


def test_f1_is_the_harmonic_mean() -> None:
    counts = Chunks(6, 8, 12)
    assert counts.f1 == pytest.approx(2 * 0.75 * 0.5 / 1.25)
    assert Chunks(0, 0, 0).f1 == 0
    assert by_type([["B-X", "B-Y"]], [["B-X", "B-X"]]) == {"X": Chunks(1, 2, 1), "Y": Chunks(0, 0, 1)}


def test_the_interval_holds_the_score() -> None:
    truth = [["B-X", "O"], ["O", "B-X"]] * 30
    said = [["B-X", "O"], ["B-X", "O"]] * 30
    low, high = interval(truth, said, True)
    assert low < 0.5 < high
    assert high - low < 0.4


def test_labels_of_chunks_are_told_from_others() -> None:
    assert is_chunked(["O", "B-NP", "I-NP"])
    assert not is_chunked(["O", "I-NP"])
    assert not is_chunked(["H", "E", "C"])


def test_sequences_that_do_not_belong_together_are_named() -> None:
    with pytest.raises(InputError, match="sequence 1 has 2 labels and 1 were said"):
        count_chunks([["O"], ["O", "O"]], [["O"], ["O"]])
