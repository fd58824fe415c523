"""Files from strangers: spoilt in every way, with lies in their headers, with what would steer a terminal."""

import json
import resource
import struct
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from karussell.data.audio import audio_seconds, read_audio, write_audio
from karussell.data.columns import read_columns
from karussell.data.labelled_series import read_labelled
from karussell.data.manifest import read_manifest
from karussell.data.series_read import read_series
from karussell.errors import LONGEST, InputError
from karussell.runtime.model import read_wave

TOOL = Path(__file__).parents[2] / "tools" / "fuzz_files.py"
READERS = ["audio", "wave", "manifest", "series", "parquet", "labelled", "columns", "doors", "vocabulary"]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the fuzzer bounds memory by what /proc says")
def test_spoilt_files_are_read_or_refused() -> None:
    # in a process of its own, whose memory and time are bounded
    command = [sys.executable, str(TOOL), "--count", "400", *READERS]
    run = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
    assert run.stdout.count("no finding") == len(READERS)


def wave(path: Path, *, said: int, rate: int = 8000, channels: int = 1) -> Path:
    """A wav file of a tenth of a second that says it has `said` bytes of samples."""
    data = np.zeros(800, "<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, channels, rate, 2 * rate * channels & 0xFFFFFFFF, 2 * channels, 16)
    head = b"RIFF" + struct.pack("<I", min(said + 36, 2**32 - 1)) + b"WAVEfmt " + struct.pack("<I", 16) + form
    path.write_bytes(head + b"data" + struct.pack("<I", said) + data)
    return path


@pytest.mark.parametrize("read", [read_audio, read_wave, audio_seconds])
@pytest.mark.parametrize(
    "lie", [{"said": 2**32 - 1}, {"said": 2**31}, {"said": 1600, "rate": 2**32 - 1}, {"said": 1600, "rate": 0}], ids=str
)
def test_a_header_that_lies_takes_no_memory(tmp_path: Path, read, lie: dict[str, int]) -> None:
    path = wave(tmp_path / "lie.wav", **lie)
    tracemalloc.start()
    try:
        with suppress(InputError):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_a_manifest_names_files_and_shows_nothing_of_them(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the secret word")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "m.jsonl").write_text(json.dumps({"audio": "../secret", "text": "a"}) + "\n")
    [utterance] = read_manifest(folder / "m.jsonl")
    with pytest.raises(InputError) as caught:
        utterance.samples(8000)
    assert "secret word" not in str(caught.value)


@pytest.mark.parametrize("name", ["m.jsonl", "m.csv", "a.conll", "a.tsv", "long.csv"])
def test_a_sentence_is_one_line_of_bounded_length(tmp_path: Path, name: str) -> None:
    # colours, a bell and a new title of the window, for a terminal that would obey
    bad = "\x1b[31m\x07\x1b]0;owned\x07" + "x" * 100_000
    (tmp_path / name).write_text(f"{bad}\n{bad}\t{bad}\n\n{bad},{bad}\n")
    read = {"m.jsonl": read_manifest, "m.csv": read_manifest, "a.conll": read_columns, "a.tsv": read_labelled}
    with pytest.raises(InputError) as caught:
        read.get(name, read_series)(tmp_path / name)
    sentence = str(caught.value)
    assert sentence.isprintable()
    assert len(sentence) < LONGEST + 50


def test_an_archive_of_zeros_in_a_language_model_is_bounded(tmp_path: Path) -> None:
    import gzip

    from karussell.ctc.lm import LanguageModel

    # a gigabyte of spaces packs into a megabyte
    with gzip.open(tmp_path / "bomb.arpa.gz", "wb", compresslevel=1) as file:
        file.write(b"\\data\\\nngram 1=4000000000\n\n\\1-grams:\n")
        for _ in range(64):
            file.write(b" " * 2**22)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"bomb\.arpa\.gz"):
        LanguageModel.load(tmp_path / "bomb.arpa.gz", memory=1 << 24)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_what_is_no_file_is_one_sentence(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", np.zeros(8000), 8000)
    for name in ("a" * 5000 + ".wav", "a\0.wav", "~nobody-has-this-name/a.wav"):
        with pytest.raises(InputError):
            read_audio(tmp_path / name)
        (tmp_path / "m.jsonl").write_text(json.dumps({"audio": name, "text": "a"}) + "\n")
        with pytest.raises(InputError, match="there is no audio file"):
            read_manifest(tmp_path / "m.jsonl")
