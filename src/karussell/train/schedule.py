"""The learning rate as a pure function of how much is done, so that a continued run needs no scheduler state."""

import math


def warmup_cosine(done: float, *, peak: float, warmup: float, start: float, final: float) -> float:
    """Linear warmup to the peak, then half a cosine down.

        rate(d) = peak * (start + (1 - start) * d / warmup)                    d < warmup
        rate(d) = peak * (final + (1 - final) * (1 + cos(pi * p)) / 2)         p = (d - warmup) / (1 - warmup)

    `done` is the share of the training that lies behind, 0 to 1; `start` and `final` are shares of the peak.
    Loshchilov and Hutter 2017, arXiv 1608.03983, without restarts.
    """
    if done < warmup:
        return peak * (start + (1 - start) * done / warmup)
    progress = (done - warmup) / (1 - warmup) if warmup < 1 else 1.0
    return peak * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)
