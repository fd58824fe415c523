"""What a file is for: every kind of data finds its task, and what fits none is refused."""

from pathlib import Path

import pytest

from karussell.errors import InputError
from karussell.tasks.front import given_settings, overridden
from karussell.tasks.fronts import FRONTS, front
from karussell.tasks.look import KINDS, look
from karussell.tasks.task import Score, lines, seconds

FILES = {
    "speech.jsonl": ('{"audio": "a.wav", "text": "one"}\n', "transcribe"),
    "speech.csv": ("audio,text\na.wav,one\n", "transcribe"),
    "long.csv": ("unique_id,ds,y\na,2026-01-01,1\n", "forecast"),
    "wide.tsv": ("Date\tnorth\tsouth\n2026-01-01\t1\t2\n", "forecast"),
    "named.csv": ("when,sold\n01/02/2026,4\n", "forecast"),
    "numbered.csv": ("series;time;value\na;1;4\n", "forecast"),
    "words.csv": ("text,label\nwho is it,person\n", "classify"),
    "words.jsonl": ('{"text": "who is it", "label": "person"}\n', "classify"),
    "series.jsonl": ('{"values": [1, 2], "label": "up"}\n', "classify"),
    "Adiac_TRAIN.tsv": ("1\t0.2\t0.3\t0.1\n2\t0.1\t0.1\t0.9\n", "classify"),
    "ucr.txt": ("1.0  2.5e-1  0.3\n-1.0  0.1  0.2\n", "classify"),
    "vowels.ts": ("@problemName vowels\n@data\n1,2,3:1\n", "classify"),
    "train.conll": ("He PRP B-NP\nran VBD B-VP\n\nShe PRP B-NP\n", "tag"),
    "tags.jsonl": ('{"tokens": ["He"], "tags": ["B-NP"]}\n', "tag"),
}


@pytest.mark.parametrize("name", FILES)
def test_data_finds_its_task(name: str, tmp_path: Path) -> None:
    content, task = FILES[name]
    (tmp_path / name).write_text(content)
    found = look(str(tmp_path / name))
    assert found.task == task
    assert found.because


def test_the_packaged_digits_are_speech() -> None:
    assert look("digits").task == look("digits:theo").task == "transcribe"


@pytest.mark.parametrize("content", ["", "\n\n"])
@pytest.mark.parametrize("name", ["data.csv", "data.txt", "data.jsonl"])
def test_an_empty_file_is_said_to_be_empty(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match="lists nothing: it is empty"):
        look(str(tmp_path / name))


@pytest.mark.parametrize("content", ["hello\n", "one two three four\nfive\n", "a,b\nx,y\n", "[1, 2]\n", "{broken\n"])
@pytest.mark.parametrize("name", ["data.csv", "data.txt", "data.jsonl"])
def test_what_fits_none_is_refused_with_the_list(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match="cannot be told from its beginning; name it: --task"):
        look(str(tmp_path / name))


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"there is no file 'none\.csv'"):
        look("none.csv")


def test_every_kind_has_a_front_but_speech_which_has_commands_of_its_own() -> None:
    assert [kind.name for kind in KINDS] == ["transcribe", *FRONTS]
    assert all(kind.example.startswith("karussell train ") for kind in KINDS)
    with pytest.raises(InputError, match="there is no task 'guess'"):
        front("guess")


def test_settings_that_were_given_replace_the_defaults_alone() -> None:
    kind = front("forecast").config()
    made = overridden(kind(), {"horizon": 7, "network": {"hidden": 3}, "levels": [0.1, 0.9]})
    assert (made.horizon, made.network.hidden, made.network.layers, made.levels) == (7, 3, 1, (0.1, 0.5, 0.9))
    with pytest.raises(InputError, match=r"there is no setting network\.width"):
        overridden(kind(), {"network": {"width": 3}})
    with pytest.raises(InputError, match="the setting horizon is 'week'"):
        overridden(kind(), {"horizon": "week"})

    class Given:
        horizon, context = 7, None

    assert given_settings(Given(), kind) == {"horizon": 7}


@pytest.mark.parametrize(("words", "value"), [("90", 90), ("90s", 90), ("5m", 300), ("1.5h", 5400), (" 2 m ", 120)])
def test_a_budget_in_words(words: str, value: float) -> None:
    assert seconds(words) == value


@pytest.mark.parametrize("words", ["", "0", "-5m", "soon", "5d", "m"])
def test_a_budget_that_is_none(words: str) -> None:
    with pytest.raises(InputError, match=r"write it as 90s, 5m or 1\.5h"):
        seconds(words)


def test_a_score_stands_beside_its_floor_and_says_when_it_is_no_better() -> None:
    good = Score("F1", 0.9312, 0.7, "most frequent", higher=True, percent=True, low=0.92, high=0.94)
    assert good.line() == "F1 93.12 % (95 % interval 92.00 % to 94.00 %)   floor 70.00 % (most frequent)"
    bad = Score("MSE", 2.0, 1.5, "seasonal naive")
    assert bad.line().endswith("NOT BETTER THAN THE FLOOR")
    assert not bad.beats_floor
    assert lines({"scores": [bad.to_json()]}) == [bad.line()]
