"""What reading and training on a table of many rows needs: seconds and peak memory, as JSON.

python tools/many_rows.py [ROWS [train]]        10,000,000 rows of 1,000 series unless told otherwise

The table is made in a temporary folder as CSV and as Parquet, and each is read in a process of its own. With `train` a
small forecaster takes a few steps on the CSV and forecasts all series.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SERIES = 1000


def make(folder: Path, rows: int) -> None:
    """A long table of hourly values, written in parts."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    length = rows // SERIES
    times = np.datetime64("2026-01-01T00", "s") + np.arange(length) * np.timedelta64(1, "h")
    chance = np.random.default_rng(0)
    first = pa.table(_part(0, times, chance))
    with (
        csv.CSVWriter(folder / "many.csv", first.schema) as text,
        parquet.ParquetWriter(folder / "many.parquet", first.schema) as binary,
    ):
        for k in range(SERIES):
            part = pa.table(_part(k, times, chance))
            text.write_table(part)
            binary.write_table(part)


def _part(k: int, times: np.ndarray, chance: np.random.Generator) -> dict[str, object]:
    day = np.sin(np.arange(len(times)) * np.pi / 12)
    return {"unique_id": [f"s{k}"] * len(times), "ds": times, "y": (10 + day + chance.normal(size=len(times))).round(2)}


def measure(path: Path, *, train: bool) -> None:
    """Read one file, and print what it took."""
    from karussell.data.series_read import read_series

    before, began = _peak(), time.monotonic()
    data, _, _ = read_series(path)
    row = {"file": path.name, "megabytes": round(path.stat().st_size / 2**20), "rows": data.points}
    row |= {"seconds": round(time.monotonic() - began, 1), "peak_mb_above_start": _peak() - before}
    if train:
        from karussell.tasks.forecast.config import ForecasterConfig, ForecastNetworkConfig
        from karussell.tasks.forecast.reporting import train_forecaster
        from karussell.tasks.forecaster import Forecaster
        from karussell.train import TrainConfig

        settings = TrainConfig(epochs=1, device="cpu")
        config = ForecasterConfig(horizon=24, network=ForecastNetworkConfig(hidden=16), train=settings, epoch_steps=20)
        with tempfile.TemporaryDirectory() as folder:
            train_forecaster(data, None, Path(folder) / "model", config)
            forecasts = Forecaster.load(Path(folder) / "model").predict(data)
        row |= {"forecasts": len(forecasts), "peak_mb_with_training": _peak() - before}
    print(json.dumps(row), flush=True)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    words = sys.argv[1:]
    if words[:1] == ["--file"]:
        measure(Path(words[1]), train="train" in words)
        return
    rows = int(words[0]) if words else 10_000_000
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), rows)
        for name in ("many.csv", "many.parquet"):
            more = ["train"] if "train" in words and name == "many.csv" else []
            subprocess.run([sys.executable, __file__, "--file", str(Path(folder) / name), *more], check=True)


if __name__ == "__main__":
    sys.exit(main())
