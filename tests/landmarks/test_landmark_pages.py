"""Committed results, READMEs and pages say the same, and the gallery stands on its own."""

import re
from pathlib import Path

import pytest

from karussell.landmarks.catalogue import FOLDER, NAMES, committed, landmark
from karussell.landmarks.docs import page, readme
from karussell.landmarks.gallery import gallery
from karussell.landmarks.landmark import Picture
from karussell.landmarks.result import HEAD, assemble
from karussell.landmarks.table import entries, leading_number, lines, results, sections

ROOT = Path(__file__).parents[2]
HEADINGS = ["Claim", "Task", "Command", "Result", "Control", "Time", "Deviations", "Open"]


@pytest.mark.parametrize("name", NAMES)
def test_folder(name: str) -> None:
    assert len((FOLDER / name / "run.py").read_text().splitlines()) < 200
    assert list(sections(name)) == HEADINGS
    assert all(sections(name)[head] for head in HEADINGS)
    assert f"karussell landmarks run {name}" in sections(name)["Command"]


@pytest.mark.parametrize("name", NAMES)
def test_committed_result_is_of_this_program(name: str) -> None:
    """Its texts and arms are those of run.py, and its claims follow from its rows."""
    found, chosen = committed(name), landmark(name)
    if found is None:
        assert assemble(chosen, {}).state == "not run"
        return
    assert found.head == {key: getattr(chosen, key) for key in HEAD}
    again = assemble(chosen, found.rows)
    assert found.arms == again.arms
    assert found.claims == again.claims
    assert found.tables == again.tables


def test_pages_are_made_from_the_results() -> None:
    found = results()
    assert (ROOT / "docs" / "landmarks.md").read_text() == page(found)
    for result in found:
        text = (FOLDER / result.name / "README.md").read_text()
        assert readme(text, result) == text
    shown = (ROOT / "docs" / "landmarks_gallery.html").read_text()
    assert all(result.head["title"] in shown for result in found)


def test_gallery_needs_nothing_from_outside() -> None:
    html = gallery([result for result in results() if result.name in ("temporal_order", "highway")])
    assert not re.search(r'(?:src|href)="(?:https?:)?//', html)
    assert "<script" not in html
    assert html.count("<h1") == 1
    assert 'role="img"' in html
    assert "prefers-color-scheme: dark" in html
    assert "a plain recurrent net" in html.lower()


def test_a_picture_becomes_a_plot() -> None:
    chosen = landmark("temporal_order")
    pytest.importorskip("matplotlib")
    picture = Picture("Heights", "x", [("line", [0.0, 1.0], [1.0, 2.0])], "A line.")
    html = gallery([assemble(chosen, {}, (picture,))])
    assert "<svg" in html
    assert "A line." in html


def test_table_and_data_have_every_landmark() -> None:
    found = results()
    assert [row[0] for row in lines(found)] == list(NAMES)
    data = entries(found)
    assert all(entry["state"] in ("replicates", "partly", "not", "not run") for entry in data)
    assert all({"arm", "role", "published", "ours", "strict"} <= set(arm) for entry in data for arm in entry["arms"])


def test_leading_numbers() -> None:
    wanted = {"31,390": 31390, "8,440; 100 %": 8440, "18 %; 3": None, "0.007": 0.007, "": None, "118, best 1000": 118}
    assert {text: leading_number(text) for text in wanted} == wanted
