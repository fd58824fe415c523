"""Feeds random and spoilt files to the readers of data: `python tools/fuzz_files.py [--count N] [READER ...]`.

Each case is a file: random bytes, or a sound one with a few changes. A reader must give what it reads or one InputError
of one line, within ten seconds of computing, and with no more than a gigabyte of memory beyond what the process began
with; anything else is a finding, and the file is kept. Language models have a fuzzer of their own, `fuzz_lm.py`.
"""

import argparse
import csv
import io
import json
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from karussell.errors import InputError

ROOM, SECONDS = 1 << 30, 10
NUMBERS = (b"nan", b"inf", b"-inf", b"1e999", b"-1", b"0", b"99999999999999999999", b"1e400", b"\xd9\xa3", b"0x10")
PIECES = (
    b",", b"\t", b"\n", b"\r\n", b'"', b"\0", b"\\u0000", b"[" * 3000, b"{", b"}", b":", b"../../etc/passwd",
    b"\xff\xfe", b"\xef\xbb\xbf", b"null", b"\\", b" ", b"-DOCSTART-", b"@data", b"2026-01-01", b"9999-12-31",
    b"=1+1", b"a" * 200_000,
)  # fmt: skip


class Slow(BaseException):
    """A case took too long."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"of {', '.join(READERS)}; all by default")
    parser.add_argument("--count", type=int, default=10_000, help="cases a reader")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if unknown := set(given.readers) - set(READERS):
        print(f"no reader is called {sorted(unknown)[0]!r}; there are {', '.join(READERS)}")
        return 2
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, alarm)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        for name in given.readers or READERS:
            if not fuzz(name, given.count, given.seed, Path(folder) / name):
                return 1
    return 0


def alarm(*_: object) -> None:
    raise Slow(f"over {SECONDS} seconds")


def fuzz(name: str, count: int, seed: int, folder: Path) -> bool:
    """All cases of one reader."""
    folder.mkdir()
    make, read, text = READERS[name]
    sound, generator, outcomes = make(folder), random.Random(f"{name} {seed}"), Counter()
    for path, data in sound:
        path.write_bytes(data)
    for path, _ in sound:
        # what a reader imports at its first call is no case's memory
        read(path)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc").is_dir() else 0
    if pages:
        limit = pages * resource.getpagesize() + ROOM
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    began, worst = time.monotonic(), 0.0
    for number in range(count):
        path, original = generator.choice(sound)
        data = spoil(generator, original, [d for _, d in sound], text)
        path.write_bytes(data)
        started = time.process_time()
        try:
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            read(path)
            outcomes["read"] += 1
        except InputError as error:
            if "\n" in str(error) or len(str(error)) > 2000:
                return finding(name, number, path, f"an error of {len(str(error))} signs: {str(error)[:300]!r}")
            outcomes["refused"] += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return finding(name, number, path, f"{type(error).__name__}: {str(error)[:300]}")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        worst = max(worst, time.process_time() - started)
        path.write_bytes(original)
    said = f"{name}: {count:,} cases, {outcomes['refused']:,} refused, {outcomes['read']:,} read, no finding"
    print(f"{said} ({time.monotonic() - began:.0f} s, the slowest case {worst:.2f} s)", flush=True)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return True


def finding(name: str, number: int, path: Path, what: str) -> bool:
    kept = Path(tempfile.mkdtemp(prefix="fuzz-files-")) / path.name
    shutil.copy(path, kept)
    print(f"{name}: case {number}: {what}; the file is kept as {kept}", flush=True)
    return False


def spoil(generator: random.Random, original: bytes, sound: list[bytes], text: bool) -> bytes:
    """One case."""
    if generator.random() < 0.05:
        return original[: generator.randrange(40)] + generator.randbytes(generator.randrange(600))
    data = bytearray(original)
    for _ in range(generator.choice((1, 1, 1, 2, 3, 8))):
        at, size = generator.randrange(len(data) + 1), generator.choice((1, 2, 4, 8, 30))
        if not text and generator.random() < 0.5:
            # where formats say what follows
            at = min(at, generator.randrange(80))
        match generator.randrange(9 if text else 7):
            case 0 if at < len(data):
                data[at] ^= 1 << generator.randrange(8)
            case 1:
                data[at : at + 1] = bytes([generator.choice((0, 1, 9, 10, 32, 127, 128, 255))])
            case 2:
                value = generator.choice((0, 1, 2, 2**31 - 1, 2**31, 2**32 - 1, 0x7FC00000, 0x7F800000, 5, 300))
                data[at // 4 * 4 : at // 4 * 4 + 4] = value.to_bytes(4, generator.choice(("little", "big")))
            case 3:
                del data[at : at + size]
            case 4:
                data[at:at] = generator.randbytes(size)
            case 5:
                other = generator.choice(sound)
                begin = generator.randrange(len(other))
                data[at : at + size] = other[begin : begin + size]
            case 6 if generator.random() < 0.3:
                del data[at:]
            case 7:
                data[at : at + generator.choice((0, size))] = generator.choice(PIECES)
            case 8:
                data[at : at + size] = generator.choice(NUMBERS)
    return bytes(data)


Sound = list[tuple[Path, bytes]]


def audio(folder: Path) -> Sound:
    from karussell.data.audio import write_audio

    found = []
    for ending in ("wav", "flac", "ogg", "mp3"):
        write_audio(folder / f"a.{ending}", 0.3 * np.sin(np.arange(4000)), 8000)
        found.append((folder / f"a.{ending}", (folder / f"a.{ending}").read_bytes()))
    return found


def wave(folder: Path) -> Sound:
    return [one for one in audio(folder) if one[0].suffix == ".wav"]


def manifest(folder: Path) -> Sound:
    audio(folder)
    rows = [{"audio": f"a.{e}", "text": "one two", "speaker": "x"} for e in ("wav", "flac")]
    table = io.StringIO()
    writer = csv.DictWriter(table, ["audio", "text", "speaker"])
    writer.writeheader()
    writer.writerows(rows)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    plain = table.getvalue()
    return [
        (folder / "m.jsonl", lines.encode()),
        (folder / "m.csv", plain.encode()),
        (folder / "m.tsv", plain.replace(",", "\t").encode()),
    ]


def series(folder: Path) -> Sound:
    rows = [f"{k},2026-01-{d:02},{k + d}.5,{d % 3}\n" for k in (1, 2) for d in range(1, 29)]
    long = "unique_id,ds,y,plan\n" + "".join(rows)
    wide = "date,a,b\n" + "".join(f"2026-01-01 {h:02}:00,{h},{h * h}\n" for h in range(24))
    return [(folder / "long.csv", long.encode()), (folder / "wide.csv", wide.encode())]


def parquet(folder: Path) -> Sound:
    import pandas

    frame = pandas.DataFrame({"ds": pandas.date_range("2026-01-01", periods=40, freq="h"), "y": np.arange(40.0)})
    frame.to_parquet(folder / "a.parquet")
    return [(folder / "a.parquet", (folder / "a.parquet").read_bytes())]


def labelled(folder: Path) -> Sound:
    ucr = "".join(f"{k % 2}\t" + "\t".join(f"{(k * j) % 7:.2f}" for j in range(12)) + "\n" for k in range(8))
    ts = "@problemName X\n@timeStamps false\n@univariate true\n@classLabel true a b\n@data\n1,2,3:a\n2,2,?:b\n"
    text = "".join(json.dumps({"text": "who is it", "label": "x"}) + "\n" for _ in range(3))
    table = "text,label\nwho is it,x\nwhere is it,y\n"
    return [
        (folder / "a.tsv", ucr.encode()), (folder / "a.ts", ts.encode()), (folder / "a.jsonl", text.encode()),
        (folder / "a.csv", table.encode()),
    ]  # fmt: skip


def columns(folder: Path) -> Sound:
    block = "Rome N B-to\nis V O\n\nNew N B-to\nYork N I-to\n"
    return [(folder / "a.conll", block.encode()), (folder / "a.txt", block.replace(" ", "\t").encode())]


def doors(folder: Path) -> Sound:
    from karussell.ctc.lm import train

    (folder / "language_model").mkdir(exist_ok=True)
    train(["ab ba"] * 3, 2, discount_fallback=(0.5, 1.0, 1.5)).model.save(folder / "language_model" / "lm.arpa")
    weights = {"alpha": 0.5, "beta": 1.0, "unk_score_offset": -10.0, "score_boundary": True}
    return [
        (folder / "vocab.json", json.dumps({"<pad>": 0, "|": 1, "a": 2, "b": 3}).encode()),
        (folder / "tokens.txt", b"-\n|\na\nb\n"),
        (folder / "lexicon.txt", b"ab\ta b |\nba\tb a |\n"),
        (folder / "alphabet.json", json.dumps({"labels": ["", " ", "a", "b"], "is_bpe": False}).encode()),
        (folder / "language_model" / "attrs.json", json.dumps(weights).encode()),
        (folder / "language_model" / "unigrams.txt", b"ab\nba\n"),
    ]  # fmt: skip


def vocabulary(folder: Path) -> Sound:
    return [(folder / "vocabulary.json", b'{"unit": "character", "blank": 0, "symbols": ["a", "b"]}')]


def read_series_file(path: Path) -> object:
    from karussell.data.series_read import read_series

    return read_series(path)


def read_labelled_file(path: Path) -> object:
    from karussell.data.labelled_series import read_labelled

    return read_labelled(path)


def read_columns_file(path: Path) -> object:
    from karussell.data.columns import read_columns

    return read_columns(path)


def read_audio_file(path: Path) -> object:
    from karussell.data.audio import audio_seconds, read_audio

    audio_seconds(path)
    return read_audio(path, 8000)


def read_wave_file(path: Path) -> object:
    from karussell.runtime.model import read_wave

    return read_wave(path)


def read_manifest_file(path: Path) -> object:
    from karussell.data.manifest import read_manifest

    return read_manifest(path)


def read_door(path: Path) -> object:
    from karussell.ctc.doors import build_ctcdecoder, files
    from karussell.ctc.search import Lexicon

    if path.name == "vocab.json":
        return build_ctcdecoder(files.read_vocabulary(path))
    if path.name == "tokens.txt":
        return files.read_flashlight_tokens(path)
    if path.name == "lexicon.txt":
        return Lexicon.read(path)
    folder = path.parent if path.name == "alphabet.json" else path.parent.parent
    return files.read_folder(folder)


def read_vocabulary_file(path: Path) -> object:
    from karussell.data.vocabulary import Vocabulary

    return Vocabulary.from_json(path.read_bytes().decode("utf-8", "surrogateescape"))


READERS: dict[str, tuple[Callable[[Path], Sound], Callable[[Path], Any], bool]] = {
    "audio": (audio, read_audio_file, False),
    "wave": (wave, read_wave_file, False),
    "manifest": (manifest, read_manifest_file, True),
    "series": (series, read_series_file, True),
    "parquet": (parquet, read_series_file, False),
    "labelled": (labelled, read_labelled_file, True),
    "columns": (columns, read_columns_file, True),
    "doors": (doors, read_door, True),
    "vocabulary": (vocabulary, read_vocabulary_file, True),
}

if __name__ == "__main__":
    sys.exit(main())
