"""Train a classifier or a tagger with the task's defaults on a published data set, and measure it on its test part.

python tools/score_sequences.py NAME [--data FOLDER]    ucr/Adiac ... japanese_vowels qc conll2000 atis cb513/0 ...

The archives are read from FOLDER (default ../shared/data beside the clone). The result goes to
docs/results/NAME.json with the command, the settings, the held-out scores and the test scores beside the floor.

python tools/score_sequences.py table      what is in docs/results, as a table
"""

import argparse
import io
import json
import re
import shutil
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from karussell.data.columns import read_columns
from karussell.data.labelled import Example, from_arrays
from karussell.data.labelled_series import read_ts
from karussell.tasks.classifier import Classifier
from karussell.tasks.config import to_json
from karussell.tasks.tagger import Tagger
from karussell.tasks.task import lines

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
ACIDS = "ACDEFGHIKLMNPQRSTVWY"
FOLDS = 7


class Parts(NamedTuple):
    train: list[Example]
    valid: list[Example] | None
    test: list[Example]


def ucr(archive: zipfile.ZipFile, name: str) -> Parts:
    found = np.load(io.BytesIO(archive.read(f"{name}.npz")))
    train, test = (from_arrays(found[f"x{part}"], found[f"y{part}"], name=part) for part in ("tr", "te"))
    return Parts(train, None, test)


def japanese_vowels(archive: zipfile.ZipFile, _: str) -> Parts:
    with tempfile.TemporaryDirectory() as folder:
        archive.extractall(folder)
        train, test = (
            read_ts(Path(folder) / "JapaneseVowels" / f"JapaneseVowels_{part}.ts") for part in ("TRAIN", "TEST")
        )
    return Parts(train, None, test)


def qc(archive: zipfile.ZipFile, _: str) -> Parts:
    parts = []
    for name in ("train", "test"):
        rows = archive.read(f"qc/{name}.txt").decode("latin-1").strip().split("\n")
        cut = [row.split() for row in rows]
        parts.append(
            [Example(f"{name} {k}", columns=(tuple(c[1:]),), label=c[0].split(":")[0]) for k, c in enumerate(cut)]
        )
    return Parts(parts[0], None, parts[1])


def conll2000(archive: zipfile.ZipFile, _: str) -> Parts:
    with tempfile.TemporaryDirectory() as folder:
        archive.extractall(folder)
        return Parts(
            read_columns(Path(folder) / "conll2000" / "train.txt"),
            None,
            read_columns(Path(folder) / "conll2000" / "test.txt"),
        )


def atis(archive: zipfile.ZipFile, _: str) -> Parts:
    parts = []
    for name in ("train", "valid", "test"):
        words, tags = (
            archive.read(f"data/atis/{name}/{what}").decode().strip().split("\n") for what in ("seq.in", "seq.out")
        )
        rows = [(tuple(a.split()), tuple(b.split())) for a, b in zip(words, tags, strict=True)]
        parts.append([Example(f"{name} {k}", columns=(w,), tags=t) for k, (w, t) in enumerate(rows)])
    return Parts(*parts)


def cb513(archive: zipfile.ZipFile, fold: str) -> Parts:
    """Residue and alignment profile; H and G are helix, E and B strand, the rest coil; one protein of seven is test."""
    names = sorted(name for name in archive.namelist() if name.endswith(".all"))
    proteins = [_protein(name, archive.read(name).decode()) for name in names]
    chosen = int(fold)
    return Parts(
        [p for k, p in enumerate(proteins) if k % FOLDS != chosen],
        None,
        [p for k, p in enumerate(proteins) if k % FOLDS == chosen],
    )


def _protein(name: str, text: str) -> Example:
    rows = {
        key: [cell for cell in cells.split(",") if cell] for key, _, cells in (r.partition(":") for r in text.split())
    }
    residues = rows["RES"]
    # a row that was cut short in the archive is left out
    aligned = [row for key, row in rows.items() if re.fullmatch(r"align\d+", key) and len(row) == len(residues)]
    counts = np.zeros((len(residues), len(ACIDS) + 1), np.float32)
    for row in aligned:
        for step, acid in enumerate(row):
            place = ACIDS.find(acid.upper())
            counts[step, place if place >= 0 else len(ACIDS)] += 1
    profile = counts / max(1, len(aligned))
    states = tuple("H" if s in "HG" else "E" if s in "EB" else "C" for s in rows["DSSP"])
    return Example(Path(name).stem, profile, (tuple(residues),), tags=states)


SETS = {
    "ucr": (ucr, Classifier),
    "japanese_vowels": (japanese_vowels, Classifier),
    "qc": (qc, Classifier),
    "conll2000": (conll2000, Tagger),
    "atis": (atis, Tagger),
    "cb513": (cb513, Tagger),
}


def table() -> None:
    """Print what was measured: a line a set, and the means of the sets that have parts."""
    print("| set | score | floor | held out | processor time |\n|---|---|---|---|---|")
    for name in SETS:
        paths = sorted((RESULTS / name).glob("*.json")) or [RESULTS / f"{name}.json"]
        rows = [json.loads(path.read_text()) for path in paths if path.exists()]
        for path, row in zip(paths, rows, strict=False):
            first = row["test"]["scores"][0]
            print(
                f"| {path.relative_to(RESULTS).with_suffix('')} | {first['name']} {100 * first['value']:.2f} % | "
                f"{100 * first['floor']:.2f} % ({first['floor_name']}) | {100 * (1 - row['held_out_score']):.2f} % | "
                f"{row['cpu_seconds']:.0f} s |"
            )
        if len(rows) > 1:
            # of folds a step counts like any other, of different sets each set like any other
            sizes = [row["test"].get("steps", 1) for row in rows]
            value, floor = (
                sum(size * row["test"]["scores"][0][key] for size, row in zip(sizes, rows, strict=True)) / sum(sizes)
                for key in ("value", "floor")
            )
            print(f"| {name}, mean of {len(rows)} | {100 * value:.2f} % | {100 * floor:.2f} % | | |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--keep", type=Path, help="folder that keeps the model")
    given = parser.parse_args()
    if given.name == "table":
        table()
        return
    name, _, part = given.name.partition("/")
    read, task = SETS[name]
    with zipfile.ZipFile(given.data / f"{name}.zip") as archive:
        train, valid, test = read(archive, part)
    folder = given.keep or Path(tempfile.mkdtemp())
    started, used = time.monotonic(), time.process_time()
    model = task.fit(train, valid, folder, overwrite=True)
    assert model.history is not None
    result = {
        "command": f"python tools/score_sequences.py {given.name}",
        "test": model.evaluate(test),
        "held_out_score": model.history.best,
        "temperature": getattr(model, "temperature", None),
        "train_sequences": len(train),
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(time.process_time() - used, 1),
        "steps": model.history.steps,
        "weights": sum(weight.numel() for weight in model.network.parameters()),
        "threads": torch.get_num_threads(),
        "config": to_json(model.config),
    }
    target = RESULTS / name / f"{part}.json" if part else RESULTS / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{given.name}: {result['seconds']:.0f} s, {result['cpu_seconds']:.0f} s of processor time")
    print("\n".join(f"  {line}" for line in lines(result["test"])))
    if given.keep is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
