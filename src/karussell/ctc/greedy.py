"""Best-path decoding (Graves et al., ICML 2006, section 3.2): the likeliest label of each frame, runs merged.

The best path is not the best label sequence: p(l | x) sums over all paths of l, and a sequence with many
middling paths can be likelier. For the spiky outputs CTC learns the two seldom differ.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from karussell.ctc.hypothesis import Hypothesis
from karussell.errors import InputError


def greedy(
    log_probs: Tensor,
    lengths: Tensor | Sequence[int],
    *,
    symbols: Sequence[str] | None = None,
    separator: str = "",
    blank: int = 0,
    frame_seconds: float = 1.0,
) -> list[Hypothesis]:
    """Decode log-probabilities [T, B, K] into one hypothesis a row, looking at `lengths` [B] frames of each.

    path[t] = argmax_k log_probs[t, k]; equal neighbours are one run; runs of the blank are dropped. A label
    lasts from the start of its run's first frame to the end of its last one, frame t being t … t + 1 times
    `frame_seconds` (the hop after any subsampling). Its confidence is the greatest posterior within the run:
    the height of the spike. The score is the log-probability of the path, the sum of the frames' maxima.

    `symbols` are the K - 1 labels' texts in order, without the blank; `text` joins them with `separator`.
    Without symbols the text is the labels' numbers with a space between. Ties go to the smaller label.
    """
    if log_probs.dim() != 3 or not log_probs.is_floating_point():
        raise InputError(
            f"greedy: log_probs is {list(log_probs.shape)} {log_probs.dtype}; it must be floating-point "
            "[T, B, K], time first. One utterance alone is [T, 1, K]."
        )
    frames, batch, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise InputError(f"greedy: blank is {blank}, but log_probs has {classes} classes, 0 to {classes - 1}.")
    if symbols is not None and len(symbols) != classes - 1:
        raise InputError(
            f"greedy: {len(symbols)} symbols came for {classes} classes; {classes - 1} are needed, the blank has none."
        )
    counts = torch.as_tensor(lengths).tolist()
    if len(counts) != batch or any(not 0 <= n <= frames for n in counts):
        raise InputError(f"greedy: lengths is {counts}; it must be {batch} numbers from 0 to {frames}.")
    # numpy's argmax takes the first of equals on every platform; torch promises nothing
    scores = log_probs.detach().float() if log_probs.dtype != torch.float64 else log_probs.detach()
    values = scores.cpu().numpy()
    path = values.argmax(-1)
    best = values.max(-1)

    hypotheses = []
    for b, n in enumerate(counts):
        top = torch.from_numpy(best[:n, b].copy())
        if bool(top.isnan().any()):
            raise InputError(f"greedy: log_probs of utterance {b} holds NaN at frame {int(top.isnan().nonzero()[0])}.")
        tokens, starts, ends, confidences = [], [], [], []
        labels, runs = torch.unique_consecutive(torch.from_numpy(path[:n, b].copy()), return_counts=True)
        at = 0
        for label, run in zip(labels.tolist(), runs.tolist(), strict=True):
            if label != blank:
                tokens.append(label)
                starts.append(at * frame_seconds)
                ends.append((at + run) * frame_seconds)
                confidences.append(min(float(top[at : at + run].max().exp()), 1.0))
            at += run
        hypotheses.append(
            Hypothesis(
                tokens=tuple(tokens),
                text=_text(tokens, symbols, separator, blank),
                starts=tuple(starts),
                ends=tuple(ends),
                confidences=tuple(confidences),
                score=float(top.double().sum()),
            )
        )
    return hypotheses


def _text(tokens: list[int], symbols: Sequence[str] | None, separator: str, blank: int) -> str:
    if symbols is None:
        return " ".join(str(token) for token in tokens)
    return separator.join(symbols[token if token < blank else token - 1] for token in tokens)
