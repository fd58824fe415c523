"""Pack the Free Spoken Digit Dataset into the package: one FLAC a speaker and an index with checksums.

Usage: python tools/pack_digits.py fsdd.zip [FOLDER]

The zip holds recordings/{digit}_{speaker}_{index}.wav, 8 kHz, mono, 16 bits, as published at
https://github.com/Jakobovski/free-spoken-digit-dataset. Samples are kept bit for bit. The index names, for every
speaker, the recordings in the order in which they lie in its file: digit, index, number of samples, and the first
16 hexadecimal digits of the SHA-256 of the samples (16-bit little-endian).
"""

import argparse
import hashlib
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import soundfile

FOLDER = Path(__file__).resolve().parents[1] / "src/karussell/data/assets/digits"
NAME = re.compile(r"recordings/(\d)_([a-z]+)_(\d+)\.wav$")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zip", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    arguments = parser.parse_args()
    recordings = read_zip(arguments.zip)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    index = {"rate": 8000, "speakers": {}}
    for speaker in sorted({key[0] for key in recordings}):
        keys = sorted(key for key in recordings if key[0] == speaker)
        joined = np.concatenate([recordings[key] for key in keys])
        soundfile.write(arguments.folder / f"{speaker}.flac", joined, 8000, "PCM_16", compression_level=1.0)
        index["speakers"][speaker] = [
            [digit, number, len(recordings[key]), checksum(recordings[key])]
            for key in keys
            for _, digit, number in [key]
        ]
    (arguments.folder / "index.json").write_text(as_lines(index), encoding="utf-8")
    size = sum(path.stat().st_size for path in arguments.folder.iterdir())
    print(f"{len(recordings)} recordings, {size / 1e6:.1f} MB in {arguments.folder}")


def read_zip(path: Path) -> dict[tuple[str, int, int], np.ndarray]:
    recordings = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            found = NAME.search(name)
            if found is None:
                continue
            samples, rate = soundfile.read(io.BytesIO(archive.read(name)), dtype="int16")
            if rate != 8000 or samples.ndim != 1:
                raise SystemExit(f"{name}: {rate} Hz, shape {samples.shape}; needed 8000 Hz mono")
            recordings[found[2], int(found[1]), int(found[3])] = samples
    return recordings


def checksum(samples: np.ndarray) -> str:
    return hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()[:16]


def as_lines(index: dict) -> str:
    speakers = ",\n".join(
        f'"{speaker}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]"
        for speaker, rows in index["speakers"].items()
    )
    return f'{{"rate": {index["rate"]}, "speakers": {{\n{speakers}\n}}}}\n'


if __name__ == "__main__":
    main()
