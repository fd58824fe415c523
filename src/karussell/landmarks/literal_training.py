"""Training a literal net on sequences drawn afresh, to a criterion of 1997."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from karussell.data.problems import Sequences
from karussell.landmarks.literal import LiteralLSTM
from karussell.landmarks.window import Learned, Window, until


def learn(
    net: LiteralLSTM,
    draw: Callable[[], Sequences],
    cap: int,
    strict: Callable[[Window], bool],
    reached: Callable[[Window], bool] | None = None,
    *,
    size: int = 2000,
    rule: Literal["step", "sequence"] = "step",
) -> Learned:
    """Online learning on batches as `draw` gives them, to the criterion or the cap."""

    def step() -> tuple[np.ndarray, np.ndarray]:
        batch = draw()
        y = net.run(batch, rule)
        return batch.worst(y), batch.mean(y)

    return until(step, cap, strict, reached, size=size)


def wrong(net: LiteralLSTM, test: Sequences, within: float) -> int:
    """How many sequences of a test set have an output that is off by `within` or more."""
    return int((test.worst(net.run(test, "never")) >= within).sum())
