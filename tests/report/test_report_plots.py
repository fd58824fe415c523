"""Plots: what they show is in the SVG, in the page's colours, with nothing from outside."""

import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest

from karussell.report import Curve, Html, Interval, Panel, curve
from karussell.report.plots import NARROW, WIDE, intervals, learning_curves, responsive, spikes


def planted(path: list[int], classes: int, frames_each: int = 8) -> np.ndarray:
    """Probabilities [T, K] with a spike for each label of the path, class 0 elsewhere."""
    probabilities = np.full((len(path) * frames_each, classes), 0.02 / (classes - 1))
    probabilities[:, 0] = 0.98
    for n, k in enumerate(path):
        probabilities[n * frames_each + 3, [0, k]] = 0.03, 0.95
    return probabilities


def spectrogram(frames: int = 60) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((frames, 12)).astype(np.float32)


def words(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("text")]


DRAWINGS = {
    "curves": lambda width: learning_curves(
        [
            Panel(
                "Loss", (Curve("training", (1, 2, 3), (3, 2, 1)), Curve("validation", (1, 2, 3), (3, 2.5, 2))), mark=2
            ),
            Panel("Errors", (Curve("validation", (1, 2), (0.5, 0.25)),), percent=True, levels=(("floor", 0.3),)),
            Panel("Rate", (Curve("rate", (), ()),), log=True),
            Panel("Nothing", ()),
        ],
        width,
    ),
    "intervals": lambda width: intervals([Interval("ours", 0.1, 0.05, 0.2), Interval("floor", 0.4, quiet=True)], width),
    "spikes": lambda width: spikes(spectrogram(), planted([3, 1, 2], 4), "abc", 1.5, width),
    "words": lambda width: spikes(spectrogram(), planted([1, 2], 3), ["yes", "extraordinarily"], 1.5, width),
    "silence": lambda width: spikes(np.zeros((1, 1)), np.array([[1.0, 0.0]]), "a", 0.1, width),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", DRAWINGS)
def test_svg_is_sound_and_takes_its_colours_from_the_page(name, width):
    svg = DRAWINGS[name](width)
    assert isinstance(svg, Html)
    assert ET.fromstring(svg).tag == "svg"
    assert "http" not in svg
    assert "xlink" not in svg
    assert not re.search(r"#[0-9a-f]{6}\b(?!-)", re.sub(r"base64,[^\"]*|#g[0-9a-f]{8}-\w+", "", svg))
    assert "var(--muted)" in svg
    ids = re.findall(r' id="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg)) == set(ids)


def test_drawing_is_the_same_each_time_and_ids_differ_between_drawings():
    first, second, other = DRAWINGS["spikes"](WIDE), DRAWINGS["spikes"](WIDE), DRAWINGS["spikes"](NARROW)
    assert first == second
    assert not set(re.findall(r' id="([^"]+)"', first)) & set(re.findall(r' id="([^"]+)"', other))


def test_drawing_leaves_matplotlib_as_it_was_and_does_not_listen_to_it():
    plain = DRAWINGS["intervals"](WIDE)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert DRAWINGS["intervals"](WIDE) == plain
        assert matplotlib.rcParams["font.size"] == 30


def test_learning_curves_name_their_lines():
    shown = words(DRAWINGS["curves"](WIDE))
    for word in ("Loss", "training", "validation", "Errors", "floor", "epoch"):
        assert word in shown
    assert any(word.endswith("\u202f%") for word in shown)


def test_spikes_are_named_in_order():
    shown = words(DRAWINGS["spikes"](WIDE))
    assert [word for word in shown if word in ("a", "b", "c")] == ["c", "a", "b"]
    assert "extraordina…" in words(DRAWINGS["words"](WIDE))


@pytest.mark.parametrize("blank", [0, 1, 3])
def test_blank_may_be_any_class(blank):
    probabilities = np.insert(planted([3, 1, 2], 4)[:, 1:], blank, planted([3, 1, 2], 4)[:, 0], axis=1)
    shown = words(spikes(spectrogram(), probabilities, "abc", 1.5, WIDE, blank=blank))
    assert [word for word in shown if word in ("a", "b", "c")] == ["c", "a", "b"]


def test_crowded_spikes_leave_names_out_rather_than_overprint():
    probabilities = planted([1, 2] * 150, 3, frames_each=4)
    assert (
        0 < len([word for word in words(spikes(spectrogram(), probabilities, "ab", 30, NARROW)) if word in "ab"]) < 200
    )


def test_long_spectrogram_stays_small():
    svg = spikes(spectrogram(60_000), planted([1], 2), "a", 600, WIDE)
    assert len(svg) < 200_000


@pytest.mark.filterwarnings("error")
def test_labels_are_text_whatever_they_hold():
    labels = ["--><script>x</script>", "$\\frac$", "<b>", "語", "&amp;"]
    svg = spikes(spectrogram(), planted([1, 2, 3, 4, 5], 6, 20), labels, 1.5, WIDE)
    assert "<script" not in svg
    shown = words(svg)
    assert [word for word in shown if word in labels] == ["$\\frac$", "<b>", "語", "&amp;"]


def test_curve_takes_rows_that_have_both_columns_and_are_finite():
    rows = [
        {"epoch": 1, "loss": 2.0},
        {"epoch": 2, "error": 0.5},
        {"epoch": 3, "loss": None},
        {"epoch": 4, "loss": float("nan")},
        {"epoch": 5, "loss": 1},
        {"loss": 7.0},
    ]
    assert curve(rows, "epoch", "loss", "training") == Curve("training", (1.0, 5.0), (2.0, 1.0))


def test_responsive_draws_twice_and_says_once_each_what_is_seen():
    block = responsive(DRAWINGS["intervals"], 'errors "quoted"')
    assert block.count("<svg") == 2
    assert block.count('role="img" aria-label="errors &quot;quoted&quot;"') == 2
