"""Scores every sentence of a text with a model, by us and by KenLM: `python tools/compare_kenlm.py MODEL TEXT`.

MODEL is an ARPA file or a KenLM binary. Needs the module `kenlm`, which tools/peers.sh installs.
"""

import math
import sys
from pathlib import Path

import kenlm
import numpy as np

from karussell.ctc.lm import LanguageModel


def main(model: str, text: str) -> int:
    """Print the greatest difference of log10 p of a word, and the sums."""
    ours, theirs = LanguageModel.load(model), kenlm.Model(model)
    worst, count, total = 0.0, 0, np.zeros(2)
    for line in Path(text).read_text(encoding="utf-8").splitlines():
        for whole in (True, False):
            own = ours.scores(line.split(), begin=whole, end=whole) / math.log(10)
            other = np.array([p for p, _, _ in theirs.full_scores(line, bos=whole, eos=whole)])
            worst = max([worst, *np.abs(own - other)])
            count += len(own)
            total += own.sum(), other.sum()
    print(f"{count:,} scores; greatest difference of log10 p {worst:.1e}; sums {total[0]:.4f} and {total[1]:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
