"""TIMIT's files, written here byte by byte: SPHERE headers, segments, parts by folder and speaker, folding to 39."""

from pathlib import Path

import numpy as np
import pytest

from karussell.data.timit import CORE, PHONES, RATE, fold, timit
from karussell.errors import InputError, MissingError

PHN = "0 800 h#\n800 1600 sh\n1600 2400 ix\n2400 3200 h#\n"


def sphere(samples: np.ndarray, coding: str = "pcm", rate: bool = True, order: str = "01") -> bytes:
    """A recording as NIST's SPHERE programs write it: 1024 bytes of header, then 16 bits a sample."""
    lines = ["NIST_1A", "   1024", "database_id -s5 TIMIT", "channel_count -i 1", f"sample_count -i {len(samples)}"]
    lines += [f"sample_rate -i {RATE}"] * rate
    lines += ["sample_n_bytes -i 2", f"sample_byte_format -s2 {order}", "sample_sig_bits -i 16"]
    lines += [f"sample_coding -s{len(coding)} {coding}", "end_head"]
    head = ("\n".join(lines) + "\n").encode().ljust(1024)
    return head + samples.astype("<i2" if order == "01" else ">i2").tobytes()


def write(root: Path, name: str, phn: str = PHN, audio: bytes | None = None, capital: bool = True) -> Path:
    stem = root / (name.upper() if capital else name.lower())
    stem.parent.mkdir(parents=True, exist_ok=True)
    samples = (1000 * np.sin(np.arange(3200) / 9)).astype(np.int16)
    (stem.parent / (stem.name + (".PHN" if capital else ".phn"))).write_text(phn)
    (stem.parent / (stem.name + (".WAV" if capital else ".wav"))).write_bytes(audio or sphere(samples))
    return stem


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    for name in ("TRAIN/DR1/FCJF0/SX127", "TRAIN/DR1/FCJF0/SA1", "TRAIN/DR2/MABC0/SI648"):
        write(tmp_path, name)
    for name in ("TEST/DR1/MDAB0/SX139", "TEST/DR1/FAKS0/SI943", "TEST/DR1/FAKS0/SA2"):
        write(tmp_path, name)
    return tmp_path


def test_parts(disc: Path) -> None:
    ids = {part: [u.id for u in timit(disc, part)] for part in ("train", "test", "core")}  # type: ignore[arg-type]
    assert ids == {
        "train": ["fcjf0_sx127", "mabc0_si648"],
        "test": ["faks0_si943", "mdab0_sx139"],
        "core": ["mdab0_sx139"],
    }


@pytest.mark.parametrize("order", ["01", "10"], ids=["little endian", "big endian"])
def test_samples_and_segments(tmp_path: Path, order: str) -> None:
    pytest.importorskip("soundfile")
    samples = (8000 * np.sin(np.arange(3200) / 9)).astype(np.int16)
    write(tmp_path, "train/dr1/fcjf0/sx127", audio=sphere(samples, order=order), capital=False)
    (found,) = timit(tmp_path, "train")
    np.testing.assert_array_equal(found.samples(RATE), samples.astype(np.float32) / 32768)
    assert found.text == "h# sh ix h#"
    assert found.speaker == "fcjf0"
    assert [(s.start, s.end, s.text) for s in found.segments[:2]] == [(0.0, 0.05, "h#"), (0.05, 0.1, "sh")]


def test_a_converted_copy(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    stem = write(tmp_path, "TEST/DR1/MDAB0/SX139")
    soundfile.write(stem.parent / "SX139.WAV.wav", np.zeros(3200), RATE, format="WAV")
    (stem.parent / "SX139.WAV").unlink()
    (found,) = timit(tmp_path, "core")
    assert len(found.samples(RATE)) == 3200
    assert found.segments[-1].end == 0.2


def test_folding() -> None:
    assert len(PHONES) == 61
    assert list(PHONES) == sorted(PHONES, key=lambda p: p.replace("#", "").replace("-", ""))
    assert len(set(fold(PHONES))) == 39
    assert len(CORE) == 24
    assert fold(["h#", "sh", "ix", "q", "bcl", "b", "ux", "zh"]) == ("sil", "sh", "ih", "sil", "b", "uw", "sh")
    with pytest.raises(InputError, match="'xx' is none of TIMIT's 61 phones"):
        fold(["xx"])


def test_what_is_missing_is_said(disc: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="there is no folder"):
        timit(tmp_path / "nowhere", "train")
    with pytest.raises(InputError, match="part is 'dev'"):
        timit(disc, "dev")  # type: ignore[arg-type]
    (disc / "TRAIN/DR2/MABC0/SI648.WAV").unlink()
    with pytest.raises(InputError, match=r"has no recording beside it; needed SI648\.WAV"):
        timit(disc, "train")
    empty = tmp_path / "empty"
    (empty / "TEST").mkdir(parents=True)
    with pytest.raises(InputError, match=r"no utterance of the part 'test'; needed TEST/DR1/SPEAKER/SENTENCE\.PHN"):
        timit(empty, "test")


BROKEN = [
    (PHN, sphere(np.zeros(3200), "pcm,embedded-shorten-v2.00"), "packed with shorten"),
    (PHN, sphere(np.zeros(3200), rate=False), "names no sample_rate"),
    (PHN, b"OggS" + bytes(2000), "neither NIST SPHERE nor RIFF"),
    ("0 800 h#\n900 700 sh\n", None, "line 2: a segment from 900 to 700"),
    ("0 800 h#\n700 900 sh\n", None, "line 2: a segment from 700 to 900"),
    ("0 800 silence\n", None, "line 1 is '0 800 silence'"),
    ("a b h#\n", None, "needed first sample, last sample"),
    ("\n", None, "holds no segment"),
]


@pytest.mark.parametrize(("phn", "audio", "match"), BROKEN, ids=range(len(BROKEN)))
def test_broken_files_are_refused(tmp_path: Path, phn: str, audio: bytes | None, match: str) -> None:
    write(tmp_path, "TRAIN/DR1/FCJF0/SX127", phn, audio)
    with pytest.raises(InputError, match=match):
        timit(tmp_path, "train")
