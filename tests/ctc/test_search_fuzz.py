"""Random arguments into the C interface: an answer or a sentence, never a crash."""

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools" / "fuzz_search.py"


def test_a_short_run():
    # in a process of its own: a crash is a failure, not the end of the tests
    command = [sys.executable, str(TOOL), "--plain", "--runs", "3000", "--seed", "7"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    assert "3000 argument sets" in run.stdout
    searches = ("a beam search answered", "one with words answered", "one with tokens answered")
    searches += ("one with words and tokens answered", "a prefix search answered", "token passing answered")
    for sound in searches:
        assert sound in run.stdout
