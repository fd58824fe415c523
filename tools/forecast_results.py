"""Train and score the forecaster with its defaults on public series: `python tools/forecast_results.py NAME DATA OUT`.

NAME is m4_hourly, etth1 or illness; DATA is series.zip; OUT becomes the model folder, and OUT.json the result. Horizon
and context are those of the published comparison where it fixes them. The test part is scored once, at the end.
"""

import argparse
import io
import json
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from karussell.data.series import SeriesSet
from karussell.data.series_read import read_series
from karussell.tasks.forecast.config import ForecasterConfig
from karussell.tasks.forecaster import Forecaster
from karussell.tasks.task import lines
from karussell.train import Progress, TrainConfig

Split = tuple[SeriesSet, SeriesSet | None, SeriesSet, dict[str, int]]


def table(archive: Path, name: str) -> pd.DataFrame:
    """One CSV of the archive."""
    with zipfile.ZipFile(archive) as files:
        [found] = [member for member in files.namelist() if member.endswith(name)]
        return pd.read_csv(io.BytesIO(files.read(found)))


def m4_hourly(archive: Path) -> Split:
    """414 series, the 48 hours after each are the test; weights are chosen on the 48 before."""

    def long(frame: pd.DataFrame, after: dict[str, int]) -> SeriesSet:
        rows = [(row.iloc[0], row.iloc[1:].dropna().astype(float).to_numpy()) for _, row in frame.iterrows()]
        parts = [
            pd.DataFrame({"unique_id": name, "ds": after.get(name, 0) + np.arange(len(y)), "y": y}) for name, y in rows
        ]
        return read_series(pd.concat(parts))[0]

    train = long(table(archive, "Hourly-train.csv"), {})
    test = long(table(archive, "Hourly-test.csv"), {one.id: len(one) for one in train.series})
    return *train.split([48] * len(train)), test, {"horizon": 48}


def etth1(archive: Path) -> Split:
    """12 months to train on, 4 to choose the weights, 4 to test: every window, as in Informer and its followers."""
    whole, _, _ = read_series(table(archive, "ETTh1.csv").iloc[:14400])
    rest, test = whole.split([2880] * len(whole))
    return *rest.split([2880] * len(rest)), test, {"horizon": 96, "context": 96}


def illness(archive: Path) -> Split:
    """Seven tenths to train on, one to choose the weights, two to test."""
    whole, _, _ = read_series(table(archive, "national_illness.csv"))
    steps = len(whole.series[0])
    last = int(steps * 0.2)
    rest, test = whole.split([last] * len(whole))
    return *rest.split([steps - int(steps * 0.7) - last] * len(rest)), test, {"horizon": 24, "context": 36}


def main() -> None:
    sets = {"m4_hourly": m4_hourly, "etth1": etth1, "illness": illness}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sets)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=0, help="0: the default")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.monotonic()
    train, valid, test, problem = sets[given.name](given.data)
    defaults = ForecasterConfig().train
    settings = TrainConfig(**{**vars(defaults), "epochs": given.epochs or defaults.epochs, "seed": given.seed})
    model = Forecaster.fit(
        train,
        valid,
        given.out,
        ForecasterConfig(**problem, train=settings),
        overwrite=True,
        progress=Progress(given.name),
    )
    assert model.history is not None
    spent = time.monotonic() - began
    before = train.followed_by(valid)[0] if valid is not None else train
    found = model.evaluate(test, history=before)
    for line in lines(found):
        print(line)
    print("coverage", {name: round(share, 3) for name, share in found["coverage"].items()})
    result = {
        "command": "python " + " ".join(["tools/forecast_results.py", given.name, "series.zip", *sys.argv[3:]]),
        "seconds": round(spent, 1),
        "threads": torch.get_num_threads(),
        "weights": sum(weight.numel() for weight in model.network.parameters()),
        "steps": model.history.steps,
        "best_step": model.history.best_step,
        "validation": model.history.best,
        "resolved": {name: getattr(model.config, name) for name in ("horizon", "context", "season")}
        | {"patch": model.config.network.patch},
        "test": found,
    }
    given.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
