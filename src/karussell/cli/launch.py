"""Several processes for one command: torchrun started by ourselves, and what it told each of them."""

import os
import subprocess
import sys
from collections.abc import Sequence


def is_launched() -> bool:
    """Whether a launcher (torchrun) started this process."""
    return "WORLD_SIZE" in os.environ


def launched() -> int:
    """The number of this process among those of the run; 0 where there is one."""
    return int(os.environ.get("RANK", "0"))


def launch(count: int, words: Sequence[str]) -> int:
    """Run this command in `count` processes on this machine; the exit status is theirs."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    try:
        return subprocess.run([*command, "-m", "karussell.cli", *words], check=False).returncode
    except KeyboardInterrupt:
        # the processes heard it too, and have saved what there is
        return 130
