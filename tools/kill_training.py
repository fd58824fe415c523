"""Kill a training at random moments, resume it each time, and compare the weights with an undisturbed run's.

    python tools/kill_training.py [KILLS]

Prints how many kills hit, and whether the files are the same, bit for bit.
"""

import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "train"))

from test_resume import PAUSE, SETTINGS, finish, left, newest, start


def main(kills: int) -> int:
    chance, hits = random.Random(1997), 0
    with tempfile.TemporaryDirectory() as folder:
        finish(Path(folder) / "unbroken", *SETTINGS)
        expected, out, runs = left(Path(folder) / "unbroken"), Path(folder) / "run", 0
        while hits < kills:
            runs += 1
            out = Path(folder) / f"run-{runs}"
            settings = (*SETTINGS, PAUSE, f"checkpoint_seconds={chance.choice([0, 0.05, 0.15])}")
            # as many kills as fit into one run, then the next
            while hits < kills:
                before = newest(out)
                process = start(out, *settings)
                while newest(out) == before and process.poll() is None:
                    time.sleep(0.002)
                time.sleep(chance.uniform(0, 0.25))
                process.send_signal(signal.SIGKILL)
                process.communicate()
                if process.returncode != -signal.SIGKILL:
                    break
                hits += 1
            finish(out, *settings)
            if left(out) != expected:
                print(f"run {runs} differs after {hits} kills")
                return 1
    print(f"{hits} kills in {runs} runs: weights, scores and metrics are the same, bit for bit")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50))
