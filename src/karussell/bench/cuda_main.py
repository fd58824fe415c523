"""`python -m karussell.bench.cuda_main layers|ctc [FILE]`: the bench where the command line's packages are missing."""

import sys

from karussell.bench.cuda_ctc import run_cuda_ctc
from karussell.bench.cuda_layers import run_cuda_layers
from karussell.bench.show import show

if __name__ == "__main__":
    path = sys.argv[2] if len(sys.argv) > 2 else None
    show(run_cuda_ctc(path) if sys.argv[1] == "ctc" else run_cuda_layers(path))
