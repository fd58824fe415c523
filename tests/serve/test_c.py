"""A transcriber as C: compiled as C99 with every warning an error, it writes the same text."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from karussell.errors import InputError
from karussell.runtime.stream import Posteriors
from karussell.serve.c import emit_c, memory
from random_models import RATE, random_transcriber, recording

FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
MAIN = """
#include <stdio.h>
#include "model.c"
static m_stream stream;
static float samples[1 << 20];
int main(int count, char **words) {
    int n = (int)fread(samples, sizeof(float), 1 << 20, stdin), at, take, chunk = 0;
    char text[512];
    if (count == 2) sscanf(words[1], "%d", &chunk);
    m_start(&stream);
    for (at = 0; at < n; at += take) {
        take = n - at < chunk ? n - at : chunk;
        if (m_push(&stream, samples + at, take, text, sizeof text) < 0) return 3;
        fputs(text, stdout);
    }
    if (m_finish(&stream, text, sizeof text) < 0) return 4;
    fputs(text, stdout);
    return 0;
}
"""
MODELS = {
    "both ways": {"layers": 2},
    "causal": {"causal": True, "layers": 2},
    "words": {"causal": True, "unit": "word", "blank": 3},
    "nothing before the layers": {"channels": 0, "context": 0, "prior": None, "floor": None},
}
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler here")


def compiled(folder: Path, text: str) -> Path:
    (folder / "model.c").write_text(text)
    (folder / "main.c").write_text(MAIN)
    command = [str(COMPILER), *FLAGS, "-O1", str(folder / "main.c"), "-o", str(folder / "run"), "-lm"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return folder / "run"


def said(program: Path, samples: np.ndarray, chunk: int) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([program, str(chunk)], input=samples.tobytes(), capture_output=True, timeout=60)


@needs_compiler
@pytest.mark.parametrize("name", MODELS)
def test_the_text_is_the_models(name: str, tmp_path: Path) -> None:
    model = random_transcriber(**MODELS[name])
    program = compiled(tmp_path, emit_c(model.runtime().plan, "m"))
    texts = set()
    for seconds, chunk in ((0.1, 8000), (1.5, 37), (3.0, 900), (3.0, 80000)):
        samples = recording(seconds, seed=int(10 * seconds))
        run = said(program, samples, chunk)
        assert run.returncode == 0
        assert run.stdout.decode() == model.predict(samples, RATE).text
        texts.add(run.stdout)
    assert any(texts)


@needs_compiler
def test_more_than_there_is_room_for_is_refused(tmp_path: Path) -> None:
    model = random_transcriber()
    program = compiled(tmp_path, emit_c(model.runtime().plan, "m", seconds=1.0))
    assert said(program, recording(0.9), 500).returncode == 0
    assert said(program, recording(1.5), 500).returncode == 3


@pytest.mark.parametrize("name", MODELS)
def test_the_memory_is_what_the_code_counts(name: str) -> None:
    model = random_transcriber(**MODELS[name]).runtime()
    for longest in (400, 8000, 77777):
        stream = Posteriors(model.engine, longest)
        assert stream._memory.size == memory(model.plan, stream._frames)


def test_the_file_is_alone(tmp_path: Path) -> None:
    text = emit_c(random_transcriber(causal=True).runtime().plan, "m")
    included = {line for line in text.splitlines() if line.startswith("#include")}
    assert included == {"#include <math.h>", "#include <stddef.h>", "#include <string.h>"}
    assert "malloc" not in text


def test_refusals() -> None:
    plan = random_transcriber().runtime().plan
    with pytest.raises(InputError, match="no name for C functions"):
        emit_c(plan, "a-b")
    with pytest.raises(InputError, match="between 0 and 3600"):
        emit_c(plan, seconds=0.0)
