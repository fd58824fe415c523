"""`python -m karussell.bench.cuda_main layers|ctc [FILE]`: the bench where the command line's packages are missing."""

import sys

from karussell.bench.cuda_ctc import run_cuda_ctc
from karussell.bench.cuda_layers import run_cuda_layers
from karussell.bench.show import show

BENCHES = {"layers": run_cuda_layers, "ctc": run_cuda_ctc}

if __name__ == "__main__":
    show(BENCHES[sys.argv[1]](sys.argv[2] if len(sys.argv) > 2 else None))
