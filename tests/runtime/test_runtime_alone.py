"""The runtime starts without torch."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from karussell.data.audio import write_audio
from random_models import RATE, random_transcriber, recording

PROGRAM = """
import sys
from karussell import runtime

model = runtime.load(sys.argv[1])
print(model.predict(sys.argv[2]).text)
stream = model.stream()
stream.push(runtime.model.read_wave(sys.argv[2])[0])
stream.finish()
heavy = sorted({"torch", "soundfile", "kaldi_native_fbank", "accelerate"} & set(sys.modules))
sys.exit(f"imported {heavy}" if heavy else 0)
"""


def test_torch_is_never_imported(tmp_path: Path) -> None:
    model = random_transcriber(causal=True)
    model.save(tmp_path / "model")
    write_audio(tmp_path / "one.wav", recording(1.5), RATE)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "model"), str(tmp_path / "one.wav")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == model.predict(tmp_path / "one.wav").text
