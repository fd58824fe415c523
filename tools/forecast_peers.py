"""Train neuralforecast's LSTM and DLinear where our forecaster was measured, and score them by the same code.

python tools/forecast_peers.py NAME SERIES.zip [--model LSTM]      m4_hourly, etth1, illness
python tools/forecast_peers.py table                                what was measured, beside ours

Needs `pip install neuralforecast` (3.3.0 was measured) beside karussell. Split, horizon, context, windows and scores
are those of tools/forecast_results.py; values are standardised by the training part, as those benchmarks do. Settings
are the peers' defaults, but for what `SETTINGS` says; training ends with the default number of steps, or when it has
used the seconds that our own fit took. The test part is scored once. Results go to docs/results/forecast_peers.json.
"""

import argparse
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from forecast_results import etth1, illness, m4_hourly

from karussell.tasks.forecast.scores import Scale, errors, truth
from karussell.tasks.forecast.windows import origins_of

RESULTS = Path(__file__).parents[1] / "docs" / "results"
FILE = RESULTS / "forecast_peers.json"
SETS = {"m4_hourly": m4_hourly, "etth1": etth1, "illness": illness}
MODELS = ("LSTM", "DLinear")
NAMES = {"smape": "sMAPE", "mase": "MASE", "mse": "MSE"}
# the score of the comparison is an error of squares but for M4, whose sMAPE the default loss, MAE, is made for;
# M4's series differ in size by orders, so there DLinear gets the scaling of each window that LSTM has by default
SETTINGS = {
    "m4_hourly": {"loss": "MAE", "DLinear": {"scaler_type": "robust"}},
    "etth1": {"loss": "MSE"},
    "illness": {"loss": "MSE"},
}


def ours(name: str) -> dict[str, Any]:
    """Our own result."""
    found: dict[str, Any] = json.loads((RESULTS / f"forecast_{name}.json").read_text())
    return found


def measure(name: str, archive: Path, kind: str) -> dict[str, Any]:
    """Fit one peer on one data set and score its forecasts of the test part."""
    import neuralforecast.losses.pytorch as losses
    from neuralforecast import NeuralForecast, models

    train, valid, test, problem = SETS[name](archive)
    horizon, budget = problem["horizon"], ours(name)["seconds"]
    before = train.followed_by(valid)[0] if valid is not None else train
    whole, _ = before.followed_by(test)
    held = [len(one) for one in test.series]
    # by the training part alone, as our own scores are
    parts = {one.id: one.values for one in train.series}
    scales = [Scale.of(parts[one.id], ours(name)["resolved"]["season"]) for one in whole.series]
    centres = [float(np.nanmean(parts[one.id])) for one in whole.series]
    plain = name == "m4_hourly"
    frame = pd.concat(
        pd.DataFrame(
            {
                "unique_id": f"{k:04d}",
                "ds": np.arange(len(one)),
                "y": one.values if plain else (one.values - centres[k]) / scales[k].spread,
            }
        )
        for k, one in enumerate(whole.series)
    )
    steps = {"LSTM": 1000, "DLinear": 5000}[kind]
    more = dict(SETTINGS[name].get(kind, {}))
    done = {"steps": 0}
    model = getattr(models, kind)(
        h=horizon,
        input_size=ours(name)["resolved"]["context"],
        loss=getattr(losses, SETTINGS[name]["loss"])(),
        max_steps=steps,
        val_check_steps=steps,
        callbacks=[_stopper(budget, done)],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        **more,
    )
    peer = NeuralForecast(models=[model], freq=1)
    began = time.process_time()
    # the data that we choose our weights on is left out of the fit, and not used: the defaults choose none
    found = peer.cross_validation(
        frame,
        val_size=len(valid.series[0]) if valid is not None else 0,
        test_size=held[0],
        n_windows=None,
        step_size=1,
        refit=False,
    )
    spent = time.process_time() - began
    origins = origins_of(np.array([len(one) for one in whole.series]), held, horizon)
    made = found.sort_values(["unique_id", "cutoff", "ds"], kind="stable")[kind].to_numpy().reshape(-1, horizon)
    assert len(made) == len(origins) == ours(name)["test"]["windows"]
    if not plain:
        made = made * np.array([scales[k].spread for k in origins[:, 0]])[:, None]
        made = made + np.array([centres[k] for k in origins[:, 0]])[:, None]
    scores = errors(truth(whole, origins, horizon, scales), made)
    return {
        "command": f"python tools/forecast_peers.py {name} series.zip --model {kind}",
        "neuralforecast": version("neuralforecast"),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "settings": {"loss": SETTINGS[name]["loss"], "input_size": ours(name)["resolved"]["context"], **more},
        "steps": done["steps"],
        "default_steps": steps,
        "cpu_minutes": round(spent / 60, 1),
        "weights": sum(weight.numel() for weight in model.parameters()),
        "windows": len(made),
        **scores,
    }


def _stopper(seconds: float, done: dict[str, int]) -> Any:
    """A callback that ends the training once it has used so many seconds of processor time; it counts `steps`."""
    from pytorch_lightning import Callback

    class Stopper(Callback):  # type: ignore[misc]
        began = 0.0

        def on_train_start(self, trainer: Any, module: Any) -> None:  # noqa: ARG002 - the signature is lightning's
            self.began = time.process_time()

        def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:  # noqa: ARG002
            # the peer copies its callbacks, so what is counted lies outside
            done["steps"] += 1
            if time.process_time() - self.began > seconds:
                trainer.should_stop = True

    return Stopper()


def table() -> None:
    """Print ours and theirs, a row a data set and score; with them steps and minutes of the fit."""
    rows = json.loads(FILE.read_text())
    print("| data | score | forecaster | LSTM | DLinear |\n|---|---|---|---|---|")
    for name, title, scores in (
        ("m4_hourly", "M4 hourly, 48 steps", {"smape": 2, "mase": 3}),
        ("etth1", "ETTh1, 96 from 96", {"mse": 3}),
        ("illness", "National illness, 24 from 36", {"mse": 3}),
    ):
        own = ours(name)
        peers = [rows.get(f"{name} {kind}") for kind in MODELS]
        for score, digits in scores.items():
            cells = [f"{own['test'][score]:.{digits}f}", *(f"{p[score]:.{digits}f}" if p else "" for p in peers)]
            print(f"| {title} | {NAMES[score]} | " + " | ".join(cells) + " |")
            title = ""
        spent = [f"{own['steps']}, {own['seconds'] / 60:.1f}"]
        spent += [f"{p['steps']}, {p['cpu_minutes']:.1f}" if p else "" for p in peers]
        print("| | steps, minutes | " + " | ".join(spent) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=[*SETS, "table"])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--model", choices=MODELS, help="both if not given")
    given = parser.parse_args()
    if given.name == "table":
        table()
        return
    torch.set_num_threads(1)
    for kind in [given.model] if given.model else MODELS:
        found = measure(given.name, given.data, kind)
        print(json.dumps(found, indent=1), flush=True)
        rows = json.loads(FILE.read_text()) if FILE.exists() else {}
        FILE.write_text(json.dumps({**rows, f"{given.name} {kind}": found}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
