"""Sequences with answers, from arrays and from files; what cannot be used is named."""

from pathlib import Path

import numpy as np
import pytest

from karussell.data.columns import read_columns
from karussell.data.labelled import Example, from_arrays, same_channels
from karussell.data.labelled_series import read_labelled, read_ts, read_ucr
from karussell.data.labelled_text import read_labelled_text
from karussell.errors import InputError

TS = """#comment
@problemName Tiny
@classLabel true a b
@data
1,2,3:4,5,6:a
1.5,?:NaN,7:b
"""
CONLL = "-DOCSTART- X O\n\nRockets NNS B-NP\nfly VBP B-VP\n\n\nSlowly RB B-ADVP\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_arrays_become_examples_and_missing_ends_are_cut() -> None:
    rows = np.array([[1, 2, 3], [4, 5, np.nan], [6, np.nan, 7]])
    found = from_arrays(rows, [0, 1, 1])
    assert [example.steps for example in found] == [3, 2, 3]
    assert [example.label for example in found] == ["0", "1", "1"]
    assert found[0].values is not None
    assert found[0].values.shape == (3, 1)
    assert np.isnan(found[2].values[1, 0])


def test_arrays_with_a_label_a_step_keep_their_length() -> None:
    [found] = from_arrays([np.array([[1.0], [np.nan]])], tags=[["x", "y"]])
    assert found.tags == ("x", "y")
    assert found.steps == 2


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([1.0, np.inf], "infinite at step 1"),
        ([np.nan, np.nan], "no value that is not missing"),
        ([], "is empty"),
        (["a", "b"], "and not numbers"),
        (np.zeros((2, 2, 2)), r"must be \[T\] or \[T, C\]"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(row: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        from_arrays([[1.0, 2.0], row])
    assert "row 1" in str(caught.value)


def test_parts_of_unequal_length_are_named() -> None:
    with pytest.raises(InputError, match="1 and 2 steps"):
        Example("odd", columns=(("a",),), tags=("X", "Y"))
    with pytest.raises(InputError, match="empty token"):
        Example("gap", columns=(("a", ""),))
    with pytest.raises(InputError, match="2 labels"):
        from_arrays([[1.0]], ["a", "b"])


def test_examples_of_a_set_have_the_same_channels() -> None:
    with pytest.raises(InputError, match="'b' has 2 channels, and 'a' has 1"):
        same_channels([Example("a", np.zeros((3, 1))), Example("b", np.zeros((3, 2)))])


def test_ts_files_have_channels_of_unequal_length_and_gaps(tmp_path: Path) -> None:
    one, two = read_ts(write(tmp_path, "tiny.ts", TS))
    assert (one.label, two.label) == ("a", "b")
    np.testing.assert_array_equal(one.values, [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(two.values, [[1.5, np.nan], [np.nan, 7]])
    assert two.id == "tiny.ts:6"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2:a\n", "no line @data"),
        ("@data\n1,2:3:a\n", "line 2: its channels have"),
        ("@data\n1,x:a\n", "line 2: 'x' is no number"),
        ("@data\n", "holds no series"),
        ("@timestamps true\n@data\n1:a\n", "has time stamps"),
        ("@data\n1,inf:a\n", "'bad.ts:2' is infinite at step 1"),
        ("@data\n1,2:a\n1,2:3,4:a\n", "has 2 channels"),
    ],
)
def test_a_broken_ts_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_ts(write(tmp_path, "bad.ts", text))


@pytest.mark.parametrize(("name", "between"), [("a.tsv", "\t"), ("a.txt", "  "), ("a.csv", ",")])
def test_ucr_tables_have_the_label_in_front(tmp_path: Path, name: str, between: str) -> None:
    text = "\n".join(between.join(row) for row in (["1.0000e+00", "0.5", "1"], ["-1", "2", "NaN"]))
    one, two = read_labelled(write(tmp_path, name, text))
    assert (one.label, two.label) == ("1", "-1")
    assert (one.steps, two.steps) == (2, 1)


def test_a_broken_ucr_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2: 'x' is no number"):
        read_ucr(write(tmp_path, "a.tsv", "1\t2\n1\tx\n"))
    with pytest.raises(InputError, match="no value that is not missing"):
        read_ucr(write(tmp_path, "b.tsv", "1\tNaN\n"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'text,label\n"how, far ?",NUM\nwho,HUM\n'),
        ("a.tsv", "label\ttext\nNUM\thow, far ?\nHUM\twho\n"),
        ("a.jsonl", '{"text": "how, far ?", "label": "NUM"}\n{"tokens": ["who"], "label": "HUM"}\n'),
    ],
)
def test_texts_are_cut_at_white_space(tmp_path: Path, name: str, text: str) -> None:
    one, two = read_labelled(write(tmp_path, name, text))
    assert one.columns == (("how,", "far", "?"),)
    assert (one.label, two.label) == ("NUM", "HUM")


def test_json_lines_hold_values_and_tags(tmp_path: Path) -> None:
    text = '{"id": "s", "values": [[1, 2], [3, 4]], "tags": ["x", "y"]}\n'
    [found] = read_labelled_text(write(tmp_path, "a.jsonl", text))
    assert (found.id, found.tags, found.label) == ("s", ("x", "y"), None)
    assert found.values is not None
    assert found.values.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "text,label\na,b,c\n", "line 2 has more or fewer cells"),
        ("a.csv", 'text,label\n" ",b\n', "line 2: the text is empty"),
        ("a.csv", "text,label\n", "lists nothing"),
        ("a.jsonl", "{\n", "line 1 is not JSON"),
        ("a.jsonl", "3\n", "is not a JSON object"),
        ("a.jsonl", '{"label": "x"}\n', "lacks a text"),
        ("a.jsonl", '{"text": "x", "label": [1]}\n', "label is"),
        ("a.jsonl", '{"text": "x", "tags": "y"}\n', "tags is"),
        ("a.jsonl", '{"values": ["x"]}\n', "values cannot be used"),
    ],
)
def test_a_broken_table_is_named(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_labelled_text(write(tmp_path, name, text))


def test_columns_have_the_label_last(tmp_path: Path) -> None:
    one, two = read_columns(write(tmp_path, "a.txt", CONLL))
    assert one.columns == (("Rockets", "fly"), ("NNS", "VBP"))
    assert one.tags == ("B-NP", "B-VP")
    assert (one.id, two.id) == ("a.txt:3", "a.txt:7")
    assert read_columns(tmp_path / "a.txt", labelled=False)[0].tags is None


@pytest.mark.parametrize(
    ("text", "words"),
    [("a X\nb\n", "line 2 has 1 columns"), ("a\nb\n", "has one column"), ("\n\n", "holds no sequence")],
)
def test_broken_columns_are_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_columns(write(tmp_path, "a.txt", text))


def test_files_that_are_not_there_or_no_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        read_columns(tmp_path / "none.txt")
    with pytest.raises(InputError, match="is a folder"):
        read_columns(tmp_path)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 X\n")
    with pytest.raises(InputError, match="is not UTF-8"):
        read_columns(tmp_path / "latin.txt")
    with pytest.raises(InputError, match="is no file of labelled sequences"):
        read_labelled(tmp_path / "a.wav")
