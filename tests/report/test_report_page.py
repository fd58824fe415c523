"""Pages: escaping, structure, and the colours both schemes give them."""

import re
import subprocess
import sys
from importlib.resources import files

import pytest

from karussell.errors import InputError
from karussell.report import Clip, Html, Page
from karussell.report.blocks import facts, heat, pairs, player, settings
from karussell.report.page import text

CSS = files("karussell.report").joinpath("page.css").read_text(encoding="utf-8")


def test_text_is_escaped_once_and_markup_not_at_all():
    assert text('<a href="x">&') == "&lt;a href=&quot;x&quot;&gt;&amp;"
    assert text(Html("<b>")) == "<b>"
    assert text(text("<b>")) == "&lt;b&gt;"
    assert text(3) == "3"


def test_page_escapes_every_string_it_is_given():
    page = Page("<t>", kicker="<k>", lead="<l>", footer="<f>")
    page.add("<s>", Html("<p>body</p>"), lead="<sl>")
    html = page.html()
    for given in ("t", "k", "l", "f", "s", "sl"):
        assert f"<{given}>" not in html
        assert f"&lt;{given}&gt;" in html
    assert "<p>body</p>" in html


def test_sections_of_one_title_have_anchors_of_their_own():
    page = Page("title")
    for _ in range(3):
        page.add("Same", Html(""))
    page.add("…", Html(""))
    anchors = re.findall(r'<section id="([^"]+)"', page.html())
    assert len(set(anchors)) == 4
    assert all(f'href="#{anchor}"' in page.html() for anchor in anchors)


def test_browser_is_told_to_load_nothing():
    assert "default-src 'none'" in Page("title").html()


def test_clip_takes_audio_only():
    assert 'src="data:audio/flac;base64,YWJj"' in player(Clip(b"abc", "audio/flac"), "label")
    for mime in ("text/html", 'audio/wav"><script>', "audio/", ""):
        with pytest.raises(InputError, match="mime"):
            Clip(b"", mime)


def test_blocks_escape():
    hostile = "<script>alert(1)</script>"
    blocks = [
        facts([(hostile, hostile)]),
        heat([hostile], [(hostile, [1])], rows_are=hostile, columns_are=hostile),
        pairs([(hostile, None), (None, hostile)], hostile, hostile),
        settings({hostile: {hostile: hostile}, "x": hostile}),
        player(Clip(b"", "audio/wav"), '"><script>'),
    ]
    for block in blocks:
        assert "<script" not in block


def test_aligned_pairs_tell_match_substitution_deletion_and_insertion_apart():
    block = pairs([("a", "a"), ("b", "x"), ("c", None), (None, "d"), (" ", " ")], "said", "recognised")
    assert re.findall(r'class="pair (same|other|gone|new)"', block) == ["same", "other", "gone", "new", "same"]
    assert "said: a b c  . recognised: a x d  ." in block
    assert "<span>␣</span>" in block
    assert "said: a. recognised: nothing." in pairs([("a", None)], "said", "recognised")


def test_heat_tints_what_is_off_the_diagonal():
    block = heat(["a", "b"], [("a", [9, 4]), ("b", [1, 0]), ("c", [0, None])], rows_are="said", columns_are="heard")
    assert '<td class="right">9</td><td style="--h:1.00">4</td>' in block
    assert '<td style="--h:0.50">1</td><td class="right">0</td>' in block
    assert '<td class="none">·</td><td class="corner"></td>' in block


def test_settings_are_grouped_and_flattened():
    block = settings({"a": {"b": {"c": 1, "d": 0.001}, "e": True}, "seed": None, "empty": {}, "list": [1, 2.5]})
    assert re.findall(r"<caption>(.*?)</caption>", block) == ["general", "a"]
    cells = re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td>', block)
    assert cells == [("seed", "none"), ("list", "1, 2.5"), ("b.c", "1"), ("b.d", "0.001"), ("e", "yes")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_can_be_read_on_its_ground(scheme):
    """WCAG 2 AA: 4.5 to 1 for text on the page and on cards."""
    light, dark = re.findall(r":root \{(.*?)\}", CSS, flags=re.DOTALL)
    colours = {**_colours(light), **(_colours(dark) if scheme == "dark" else {})}
    assert len(_colours(dark)) == len(_colours(light))
    for ground in ("paper", "card"):
        for name in set(colours) - {"paper", "card", "line"}:
            assert _contrast(colours[name], colours[ground]) >= 4.5, (scheme, name, ground)


def test_importing_the_room_does_not_import_matplotlib():
    code = "import sys, karussell.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): #([0-9a-f]{6})", block))


def _contrast(a: str, b: str) -> float:
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
