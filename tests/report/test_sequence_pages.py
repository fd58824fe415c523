"""The pages of classifiers and taggers: what is told is there, foreign text escaped, what is missing left out."""

from dataclasses import replace

import numpy as np
import pytest

from karussell.report.classification import LABELS, ClassificationReport, Shown, classification_page, confusion_table
from karussell.report.evidence import series_evidence, word_evidence
from karussell.report.measures import Measure, measure_cards
from karussell.report.plots import Curve, Panel
from karussell.report.tagging import STEPS, TaggedSequence, TaggingReport, tagging_page

MEASURES = (
    Measure("accuracy", 0.93, 0.71, "1-nearest neighbour", True, True, 0.9, 0.95, "held out"),
    Measure("mean recall", 0.6, 0.71, "1-nearest neighbour", True, True),
)
PANELS = (Panel("Error", (Curve("held out", (1.0, 2.0), (0.4, 0.1)),), percent=True, mark=2.0),)
WORDS = Shown("q <1>", "HUM", "LOC", 0.71, (0.5, -0.4, 0.01), words=("Who", "<lived>", "here"))
SERIES = Shown("row 3", "a", "a", 0.9, tuple(np.sin(np.arange(20.0))), values=np.cos(np.arange(40.0)).reshape(20, 2))
CLASSIFIED = ClassificationReport(
    "Questions",
    summary="What people ask.",
    facts=(("Steps", "800"),),
    measures=MEASURES,
    panels=PANELS,
    labels=("HUM", "LOC", "NUM"),
    confusions={("HUM", "HUM"): 5, ("HUM", "LOC"): 2, ("NUM", "NUM"): 3},
    reliability=((0.55, 0.5, 10), (0.9, 0.93, 90)),
    calibration_error=0.031,
    examples=(SERIES, WORDS),
    worst=(WORDS,),
    config={"train": {"epochs": 3}},
)
TAGGED = TaggingReport(
    "Chunks",
    measures=MEASURES,
    panels=PANELS,
    types=(("NP", 0.94, 120), ("VP", 0.9, 60)),
    labels=("B-NP", "I-NP", "O"),
    confusions={("B-NP", "B-NP"): 9, ("O", "B-NP"): 1},
    worst=(
        TaggedSequence("s <1>", ("He", "<saw>"), ("B-NP", "O"), ("B-NP", "B-NP")),
        TaggedSequence("long", ("w",) * 90, ("O",) * 90, ("O",) * 60 + ("B-NP",) + ("O",) * 29),
    ),
)


def test_the_classification_page_tells_all_of_it() -> None:
    page = classification_page(CLASSIFIED)
    for words in (
        "93.0",
        "4.1 times fewer errors than the floor",
        "Not better than the floor",
        "HUM taken for LOC (2 times)",
        "Expected calibration error: 3.1",
        "Where the evidence lies",
        "it is HUM; answered LOC with confidence 0.71",
        "epochs",
    ):
        assert words in page, words
    assert "&lt;lived&gt;" in page
    assert "<lived>" not in page
    assert "q &lt;1&gt;" in page


def test_the_tagging_page_tells_all_of_it() -> None:
    page = tagging_page(TAGGED)
    for words in ("NP", "94.0", "1 of 2 labels wrong", "O taken for B-NP (1 time)"):
        assert words in page, words
    assert "&lt;saw&gt;" in page
    assert "<saw>" not in page
    # a long sequence begins a little before its first error
    assert f"steps 58 to {min(90, 57 + STEPS)}" in page


@pytest.mark.parametrize("empty", [classification_page(ClassificationReport("t")), tagging_page(TaggingReport("t"))])
def test_what_is_missing_is_left_out(empty: str) -> None:
    assert "<section" not in empty
    assert "<h1>t</h1>" in empty


def test_no_error_is_said() -> None:
    assert "No sequence has a wrong answer" in classification_page(replace(CLASSIFIED, worst=()))
    assert "No sequence has a wrong label" in tagging_page(replace(TAGGED, worst=()))


def test_of_many_labels_those_with_errors_are_shown() -> None:
    labels = tuple(f"l{k:02d}" for k in range(40))
    table = confusion_table(labels, {("l39", "l38"): 4} | {(label, label): 1 for label in labels})
    assert "l39" in table
    assert "l30" not in table
    assert f"the {LABELS} labels with the most errors, of 40" in table


def test_lower_is_better_where_it_is_so() -> None:
    cards = measure_cards((Measure("MSE", 0.4, 1.0, "repeat the last"), Measure("MSE", 2.0, 1.0, "repeat the last")))
    assert "60% better than the floor" in cards
    assert "Not better than the floor" in cards


def test_evidence_of_nothing_is_drawn() -> None:
    assert "<svg" in series_evidence(np.zeros((5, 1)), [0.0] * 5, 7.6)
    assert "underline" not in word_evidence(["a", "b"], [0.0, 0.0])
