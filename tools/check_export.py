"""Exported and torch-free forms of a model of spoken digits beside the model: `python tools/check_export.py MODEL`.

    python tools/check_export.py runs/digits [--json FILE]

Writes the C file, compiles it with -std=c99 -Wall -Wextra -Werror -pedantic, and lets it hear every official test
string; writes the ONNX file, and lets ONNX Runtime hear their features; runs `karussell.runtime`; and counts for each
how many texts are those of the model in torch. Then the time from the start of a fresh Python to the first text of
`karussell.runtime`, of several starts, and whether torch was imported there.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from karussell.data.audio import write_audio
from karussell.data.digits import RATE
from karussell.data.features import Features
from karussell.data.manifest import Utterance
from karussell.files import write_atomic
from karussell.runtime.decode import Greedy
from karussell.serve.c import emit_c
from karussell.serve.onnx import export_transcriber, session
from karussell.tasks import Transcriber
from karussell.tasks.digits import held_out_strings

FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O2")
MAIN = """
#include <stdio.h>
#include "model.c"
static digits_stream stream;
static float samples[1 << 20];
static char text[4096];
int main(void) {
    int count;
    while (fread(&count, sizeof count, 1, stdin) == 1) {
        if (count > (1 << 20) || fread(samples, sizeof(float), (size_t)count, stdin) != (size_t)count) return 1;
        digits_start(&stream);
        if (digits_push(&stream, samples, count, text, sizeof text) < 0) return 2;
        fputs(text, stdout);
        if (digits_finish(&stream, text, sizeof text) < 0) return 3;
        puts(text);
    }
    return 0;
}
"""
START = """
import sys
from karussell import runtime
text = runtime.load(sys.argv[1]).predict(sys.argv[2]).text
print(text, "torch" in sys.modules)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    model, data = Transcriber.load(given.model), held_out_strings("official")
    recordings = [u.samples(RATE) for u in data]
    expected = [found.text for found in model.transcribe(data)]
    result: dict[str, Any] = {"model": given.model.name, "recordings": len(data)}
    with tempfile.TemporaryDirectory() as folder:
        said = {
            "c": in_c(model, recordings, Path(folder)),
            "onnx": in_onnx(model, data, Path(folder)),
            "runtime": ["".join(model.runtime().predict(x, RATE).text) for x in recordings],
        }
        for name, texts in said.items():
            result[name] = sum(a == b for a, b in zip(texts, expected, strict=True))
            print(f"{name}: {result[name]} of {len(data)} texts are the model's")
        write_audio(Path(folder) / "one.wav", recordings[0], RATE)
        result["start_seconds"] = starts(given.model, Path(folder) / "one.wav", expected[0])
    times = result["start_seconds"]
    print(
        f"start to first text without torch: median {np.median(times):.3f} s of {len(times)}, worst {max(times):.3f} s"
    )
    if given.json is not None:
        write_atomic(given.json, json.dumps(result, indent=1) + "\n")
    return 0 if all(result[name] == len(data) for name in said) else 1


def in_c(model: Transcriber, recordings: list[np.ndarray], folder: Path) -> list[str]:
    """What the compiled file says."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        sys.exit("there is no C compiler; install gcc or clang")
    (folder / "model.c").write_text(emit_c(model.runtime().plan, "digits"))
    (folder / "main.c").write_text(MAIN)
    subprocess.run([compiler, *FLAGS, str(folder / "main.c"), "-o", str(folder / "run"), "-lm"], check=True)
    given = b"".join(np.int32(len(x)).tobytes() + x.astype(np.float32).tobytes() for x in recordings)
    return (
        subprocess.run([str(folder / "run")], input=given, capture_output=True, check=True)
        .stdout.decode()
        .split("\n")[:-1]
    )


def in_onnx(model: Transcriber, data: list[Utterance], folder: Path) -> list[str]:
    """What ONNX Runtime says of the features."""
    plan = model.runtime().plan
    run = session(export_transcriber(plan, folder / "model.onnx").path.read_bytes()).run
    features: Features = model.features
    state = {n: np.zeros((len(plan.lstm), 1, plan.hidden), np.float32) for n in ("h", "c")}
    texts = []
    for utterance in data:
        x = np.ascontiguousarray(features(utterance.samples(RATE))[:, None], np.float32)
        log_probs = run(["log_probs"], {"features": x, "lengths": np.asarray([len(x)]), **state})[0]
        greedy = Greedy(plan.symbols, plan.blank, plan.step_seconds)
        texts.append("".join(label.text for label in [*greedy.push(log_probs[:, 0]), *greedy.finish()]))
    return texts


def starts(folder: Path, file: Path, expected: str, count: int = 9) -> list[float]:
    """Seconds from a fresh Python to the first text; the first start, which may compile, is not counted."""
    times = []
    for _ in range(count + 1):
        began = time.perf_counter()
        command = [sys.executable, "-c", START, str(folder), str(file)]
        run = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        times.append(round(time.perf_counter() - began, 3))
        assert run.stdout.split() == [expected, "False"], run.stdout
    return times[1:]


if __name__ == "__main__":
    sys.exit(main())
