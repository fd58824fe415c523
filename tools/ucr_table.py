"""The classifier on nine UCR sets beside the nearest neighbour and the published LSTM-FCN, as a table.

python tools/ucr_table.py [--data FOLDER]

Ours are the results in docs/results/ucr, each from `python tools/score_sequences.py ucr/NAME`. The nearest neighbour by
Euclidean distance is computed here from the archive, on the series as they are: gaps are filled along straight lines,
shorter series filled up with zeros. `1-NN, best way` is the floor of the task, which may also compare series by their
own mean and spread, or stretched; it takes what serves best in training.

LSTM-FCN (Karim et al. 2018) is published twice, for the six sets that were in the archive then, and Coffee: in the
paper, with the checkpoint that was best on the test data, and in the authors' repository (titu1994/LSTM-FCN,
Results/train_loss_old_datasets.csv), with that of the lowest training loss. Those of the paper are quoted from memory.
"""

import argparse
import json
import sys
import zipfile
from pathlib import Path

from score_sequences import RESULTS, ROOT, ucr

from karussell.tasks.classify.floor import Floor

PAPER = {
    "Adiac": 0.859,
    "ArrowHead": 0.909,
    "Coffee": 1.0,
    "CricketX": 0.808,
    "ECG5000": 0.947,
    "ElectricDevices": 0.768,
    "FaceAll": 0.940,
}
REPOSITORY = {
    "Adiac": 0.86189,
    "ArrowHead": 0.89714,
    "Coffee": 1.0,
    "CricketX": 0.78205,
    "ECG5000": 0.94333,
    "ElectricDevices": 0.74673,
    "FaceAll": 0.92189,
}


def plain(archive: zipfile.ZipFile, name: str) -> float:
    """The accuracy of the nearest neighbour by Euclidean distance."""
    train, _, test = ucr(archive, name)
    longest = max(example.steps for example in train)
    floor = Floor("", longest=longest, stretched=False)._remembering(train, len(train))
    return sum(a == b.label for a, b in zip(floor.predict(test), test, strict=True)) / len(test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    given = parser.parse_args()
    rows: list[tuple[float, float, float]] = []
    ahead = {"paper": 0, "repository": 0}
    print("| set | classifier | 1-NN, Euclid | 1-NN, best way | LSTM-FCN, paper | LSTM-FCN, repository |")
    print("|---|---|---|---|---|---|")
    with zipfile.ZipFile(given.data / "ucr.zip") as archive:
        for path in sorted((RESULTS / "ucr").glob("*.json")):
            score = json.loads(path.read_text())["test"]["scores"][0]
            rows.append((score["value"], plain(archive, path.stem), score["floor"]))
            published = []
            for name, figures in (("paper", PAPER), ("repository", REPOSITORY)):
                figure = figures.get(path.stem)
                # to the digits that are published
                ahead[name] += figure is not None and round(score["value"], 3) >= round(figure, 3)
                published.append("" if figure is None else f"{100 * figure:.1f}")
            print(f"| {path.stem} | " + " | ".join([*(f"{100 * x:.1f}" for x in rows[-1]), *published]) + " |")
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    print("| mean | " + " | ".join(f"{100 * mean:.1f}" for mean in means) + " | | |")
    print(f"above 1-NN: {100 * (means[0] - means[1]):.2f} points Euclid, {100 * (means[0] - means[2]):.2f} best way;")
    print(f"at least LSTM-FCN on {ahead['paper']} sets of the paper's, {ahead['repository']} of the repository's")


if __name__ == "__main__":
    sys.exit(main())
