import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from karussell.data import read_manifest
from karussell.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "wavs").mkdir()
    for name in ("a", "b"):
        soundfile.write(tmp_path / "wavs" / f"{name}.wav", np.zeros(800), 8000)
    return tmp_path


def test_jsonl_csv_and_tsv_say_the_same(folder: Path) -> None:
    rows = [
        {"audio": "wavs/a.wav", "text": 'a "word", two', "speaker": "ann", "id": "one", "note": "x"},
        {"audio": str(folder / "wavs" / "b.wav"), "text": "zwölf", "speaker": "", "id": "", "note": ""},
    ]
    (folder / "m.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    quoted = ["audio,text,speaker,id,note"]
    quoted += [",".join('"' + v.replace('"', '""') + '"' for v in row.values()) for row in rows]
    # with the mark and the line ends that spreadsheets write
    (folder / "m.csv").write_bytes(("\ufeff" + "\r\n".join(quoted)).encode())
    tabs = ["audio\ttext\tspeaker\tid\tnote"]
    tabs += ["\t".join('"' + v.replace('"', '""') + '"' for v in row.values()) for row in rows]
    (folder / "m.tsv").write_text("\n".join(tabs), encoding="utf-8")
    for name in ("m.jsonl", "m.csv", "m.tsv"):
        one, two = read_manifest(folder / name)
        assert (one.id, one.text, one.speaker) == ("one", 'a "word", two', "ann")
        assert (two.id, two.text, two.speaker) == (str(folder / "wavs" / "b.wav"), "zwölf", None)
        assert one.audio == folder / "wavs" / "a.wav"
        assert len(one.samples(8000)) == 800


def test_other_names_of_the_audio_column_and_numbers_as_names(folder: Path) -> None:
    (folder / "m.jsonl").write_text('{"audio_filepath": "wavs/a.wav", "text": "a", "duration": 1.5, "speaker": 7}\n')
    assert read_manifest(folder / "m.jsonl")[0].speaker == "7"
    (folder / "m.csv").write_text("path,text\nwavs/b.wav,b\n")
    assert read_manifest(folder / "m.csv")[0].id == "wavs/b.wav"


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("m.jsonl", "", "lists nothing"),
        ("m.csv", "audio,text\n", "lists nothing"),
        ("m.csv", "audio,text\nwavs/a.wav,a\nwavs/b.wav,  \n", "line 3: the transcript of 'wavs/b.wav' is empty"),
        ("m.jsonl", '{"audio": "wavs/a.wav", "text": ""}', "line 1: the transcript"),
        ("m.csv", "audio,words\nwavs/a.wav,a\n", "line 2 lacks a text; it has: audio, words"),
        ("m.csv", "file,text\nwavs/a.wav,a\n", "line 2 lacks an audio path"),
        ("m.jsonl", '{"audio": "wavs/a.wav", "text": "a"}\n{"audio": \n', "line 2 is not JSON"),
        ("m.jsonl", '["wavs/a.wav"]', "line 1 is not a JSON object"),
        ("m.jsonl", '{"audio": "wavs/a.wav", "text": 5}', "text is 5, needed a text in quotes"),
        ("m.csv", "audio,text\nwavs/c.wav,a\n", "line 2: there is no audio file"),
        ("m.csv", "audio,text\nwavs,a\n", "line 2: there is no audio file"),
        ("m.csv", "audio,text\nwavs/a.wav,a\nwavs/a.wav,b\n", "line 3: 'wavs/a.wav' stands on line 2 already"),
        ("m.csv", "audio,text\nwavs/a.wav,gr\udcffn\n", "not UTF-8"),
        ("m.txt", "audio,text\n", "must end in .jsonl, .csv or .tsv"),
    ],
)
def test_a_bad_manifest_is_one_sentence_with_the_line(folder: Path, name: str, content: str, match: str) -> None:
    (folder / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=match) as caught:
        read_manifest(folder / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no manifest"):
        read_manifest(tmp_path / "m.csv")
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        read_manifest(tmp_path / "d.csv")
