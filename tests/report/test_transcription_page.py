"""The transcriber's report: everything given is on it, nothing comes from outside, every part may be missing."""

import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

from karussell.errors import InputError
from karussell.report import (
    Clip,
    Confusions,
    Curve,
    Panel,
    Rate,
    Score,
    Spikes,
    TranscriptionReport,
    WorstUtterance,
    transcription_page,
)

VOID = {"meta", "br", "img", "link", "input", "hr"}
HOSTILE = '"><script>alert(1)</script>'


class Document(HTMLParser):
    """Checks that tags close in order, and collects ids, references and visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: list[str] = []
        self.said: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.references += [
            v for k, v in attrs if k in ("src", "href", "srcset", "poster", "data", "action", "xlink:href")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title"):
            self.said.append(data.strip())

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.said))


def clip(seconds: float = 0.2) -> Clip:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, int(8000 * seconds))
    soundfile.write(buffer, noise, 8000, format="WAV", subtype="PCM_16")
    return Clip(buffer.getvalue(), "audio/wav")


def shown_spikes() -> Spikes:
    probabilities = np.full((40, 4), 0.01)
    probabilities[:, 0] = 0.97
    probabilities[[5, 20], 0] = 0.02
    probabilities[5, 2] = probabilities[20, 3] = 0.97
    features = np.random.default_rng(0).standard_normal((80, 20))
    return Spikes("theo-7", features, probabilities, ("1", "2", "3"), 0.8, "2 3", "2 3", clip=clip())


def report() -> TranscriptionReport:
    return TranscriptionReport(
        title="Spoken digits",
        summary="One sentence.",
        facts=(("Weights", "1.1 million"),),
        scores=(
            Score("Seen speakers", Rate(0.0136, 0.0093, 0.018), Rate(0.0564, 0.0475, 0.0661), note="33 errors"),
            Score("Unseen speaker", Rate(0.36, 0.33, 0.4), Rate(0.31, 0.3, 0.35), "nearest template"),
        ),
        panels=(
            Panel("Loss", (Curve("training", (1, 2, 3), (3.0, 1.0, 0.5)),), mark=2),
            Panel("Label error rate", (Curve("validation", (1, 3), (0.5, 0.05)),), percent=True),
        ),
        spikes=shown_spikes(),
        confusions=Confusions(
            ("1", "2", "3"), {("1", "1"): 90, ("1", "3"): 7, ("2", "2"): 80, ("3", None): 1, (None, "2"): 4}
        ),
        worst=(
            WorstUtterance("theo-1", (("1", "1"), ("2", "3"), ("3", None), (None, "1")), "theo, 1.2 s", clip()),
            WorstUtterance("lucas-2", (("1", None),)),
        ),
        config={"seed": 1, "network": {"hidden": 128}},
        footer="Written by Karussell 0.1.0.",
    )


def test_page_is_sound_and_self_contained():
    html = transcription_page(report())
    document = Document(html)
    assert len(document.ids) == len(set(document.ids))
    assert not re.search(r"https?:", html)
    assert not re.search(r"@import|url\((?!#)", html)
    assert all(r.startswith(("data:audio/wav;base64,", "data:image/png;base64,", "#")) for r in document.references)
    assert {r[1:] for r in document.references if r.startswith("#")} <= set(document.ids)
    assert not {"script", "link", "iframe", "object", "embed", "img"} & set(document.tags)
    assert html.isascii() or '<meta charset="utf-8">' in html
    assert len(html.encode()) < 3_000_000


def test_page_is_the_same_each_time():
    assert transcription_page(report()) == transcription_page(report())


def test_every_section_is_there_with_its_numbers():
    text = Document(transcription_page(report())).text.replace("\u202f", " ")
    for section in (
        "Error rates", "Learning curves", "What the network says", "Confusions", "Worst utterances", "Configuration",
    ):  # fmt: skip
        assert section in text
    for said in (
        "Spoken digits", "One sentence.", "1.1 million",
        "1.36 %", "95 % interval 0.93 % to 1.80 %", "Floor 5.64 % (4.75 % to 6.61 %), 1-nearest neighbour",
        "4.1 times fewer errors than the floor", "33 errors",
        "36.0 %", "Floor 31.0 % (30.0 % to 35.0 %), nearest template", "Not better than the floor",
        "Loss after epoch 3: training 0.5. Label error rate after epoch 3: validation 5.00 %.",
        "The dotted line marks epoch 2",
        "Said: 2 3. Recognised: 2 3.",
        "Most frequent: 1 taken for 3 (7 times); 2 added (4 times); 3 missed (1 time).",
        "theo-1", "3 errors in 3 labels · theo, 1.2 s", "1 error in 1 label", "hidden", "128",
        "Written by Karussell 0.1.0.",
    ):  # fmt: skip
        assert re.sub(r"(\d) %", r"\1 %", said) in text, said


def test_each_clip_has_a_player():
    html = transcription_page(report())
    assert html.count("<audio controls") == 2
    assert 'aria-label="Recording of theo-1"' in html


def test_pictures_have_words():
    html = transcription_page(report())
    labels = re.findall(r'role="img" aria-label="([^"]+)"', html)
    assert len(labels) == 6
    assert any(label.startswith("Error rates: Seen speakers 1.36") for label in labels)
    assert any("Reference: 2 3. Recognised: 2 3." in label for label in labels)


def test_hostile_text_stays_text():
    given = report()
    bad = replace(
        given,
        title=HOSTILE,
        summary=HOSTILE,
        facts=((HOSTILE, HOSTILE),),
        scores=(Score(HOSTILE, Rate(0.1), Rate(0.2), HOSTILE, HOSTILE),),
        panels=(Panel(HOSTILE, (Curve(HOSTILE, (1,), (1,)),), x_label=HOSTILE, levels=((HOSTILE, 1.0),)),),
        spikes=replace(
            shown_spikes(), id=HOSTILE, symbols=(HOSTILE, "2", HOSTILE), reference=HOSTILE, hypothesis=HOSTILE
        ),
        confusions=Confusions((HOSTILE,), {(HOSTILE, None): 1}),
        worst=(WorstUtterance(HOSTILE, ((HOSTILE, None),), HOSTILE, clip()),),
        config={HOSTILE: {HOSTILE: HOSTILE}},
        footer=HOSTILE,
    )
    html = transcription_page(bad)
    document = Document(html)
    assert "script" not in document.tags
    assert "alert(1)" in document.text
    assert all(not r.startswith("javascript") for r in document.references)


@pytest.mark.parametrize(
    ("part", "heading"),
    [
        ({"scores": ()}, "Error rates"),
        ({"panels": ()}, "Learning curves"),
        ({"spikes": None}, "What the network says"),
        ({"confusions": None}, "Confusions"),
        ({"worst": None}, "Worst utterances"),
        ({"config": {}}, "Configuration"),
    ],
)
def test_missing_part_has_no_section(part, heading):
    document = Document(transcription_page(replace(report(), **part)))
    assert heading not in document.text


def test_title_alone_makes_a_page():
    assert "Bare" in Document(transcription_page(TranscriptionReport("Bare"))).text


def test_score_without_floor_or_interval():
    text = Document(transcription_page(TranscriptionReport("t", scores=(Score("Words", Rate(0.25)),)))).text
    assert "25.0" in text
    assert "floor" not in text.lower()
    assert "% interval " not in text.replace("\u202f", " ").replace("intervals", "")


@pytest.mark.parametrize(
    ("system", "floor", "verdict"),
    [
        (Rate(0.1, 0.05, 0.2), Rate(0.3, 0.15, 0.4), "Below the floor, but the intervals overlap"),
        (Rate(0.1, 0.05, 0.12), Rate(0.3, 0.15, 0.4), "3.0 times fewer errors than the floor"),
        (Rate(0.3), Rate(0.3), "Not better than the floor"),
        (Rate(0.0, 0.0, 0.0), Rate(0.3), "No error in this sample, so that no interval can be estimated"),
    ],
)
def test_verdict_is_honest(system, floor, verdict):
    assert verdict in Document(transcription_page(TranscriptionReport("t", scores=(Score("s", system, floor),)))).text


def test_no_errors_is_said():
    text = Document(
        transcription_page(replace(report(), worst=(), confusions=Confusions(("1",), {("1", "1"): 3})))
    ).text
    assert "No utterance has an error." in text
    assert "No label was confused with another." in text


def test_sound_that_does_not_fit_is_left_out_and_said_so():
    long = tuple(WorstUtterance(f"u{k}", (("1", None),), clip=clip(40)) for k in range(5))
    html = transcription_page(replace(report(), worst=long))
    assert len(html) < 3_000_000
    assert html.count("<audio controls") == 3
    assert html.count("left out to keep this page small") == 3


def test_large_vocabularies_show_the_labels_with_the_most_errors():
    labels = tuple(f"w{k}" for k in range(100))
    counts = {(label, label): 10 for label in labels} | {(f"w{k}", "w0"): k for k in range(1, 100)}
    text = Document(transcription_page(TranscriptionReport("t", confusions=Confusions(labels, counts)))).text
    assert "Shown are the 18 labels with the most errors, of 100." in text
    assert "w99 taken for w0 (99 times)" in text
    assert " w50 " not in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"symbols": ("1", "2")}, r"probabilities is \[40, 4\]; with 2 symbols it must be \[T, 3\]"),
        ({"probabilities": np.zeros((0, 4))}, r"probabilities is \[0, 4\]"),
        ({"features": np.zeros(80)}, r"features is \[80\]; it must be \[frames, bands\]"),
    ],
)
def test_spikes_that_do_not_fit_together_are_refused(change, sentence):
    with pytest.raises(InputError, match=sentence):
        transcription_page(TranscriptionReport("t", spikes=replace(shown_spikes(), **change)))
