"""The CTC loss of Graves et al. (ICML 2006), with every target and length checked before anything runs.

A path gives one label or a blank to each frame. Merging repeats and dropping blanks, B(path), turns it into
a label sequence l, and

    p(path | x) = prod_t y[t, path[t]],    p(l | x) = sum over paths with B(path) = l,    loss = -log p(l | x).

The gradient is the true one with respect to what is passed, y - occupancy for logits and -occupancy for
log-probabilities, so it may be checked, differentiated again and used behind anything. Every path of a computation
is deterministic on the CPU, for any number of threads.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from karussell.ctc import engine as engines
from karussell.ctc.engine import Engine
from karussell.ctc.kernel import RefusedError, Task
from karussell.ctc.targets import Plain, Targets, check_targets, plain_targets, utterance
from karussell.errors import InputError

Reduction = Literal["mean", "sum", "none"]
Impossible = Literal["raise", "warn", "zero"]
Given = Literal["log_probs", "logits"]
Paths = Literal["all", "best"]


class CTCResult(NamedTuple):
    """Row by row [B]: `losses` in nats, 0 where `impossible` (bool) is true, and `target_lengths`."""

    losses: Tensor
    impossible: Tensor
    target_lengths: Tensor


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor | Sequence[Tensor | Sequence[int]],
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int] | None = None,
    *,
    blank: int = 0,
    reduction: Reduction = "mean",
    impossible: Impossible = "raise",
    names: Sequence[str] | None = None,
    given: Given = "log_probs",
    paths: Paths = "all",
    entropy: float = 0.0,
    smoothing: float = 0.0,
    engine: Engine = "auto",
) -> Tensor:
    """Compute -log p(target | x) for log-probabilities [T, B, K], time first, as log_softmax gives them.

    `targets` is a list of B sequences, a padded tensor [B, L] or a concatenated tensor [sum of lengths]; the
    two tensors need `target_lengths` [B]. A target may be empty. Frames beyond `input_lengths` [B] are never
    looked at.

    `given="logits"`: what is passed are logits, and the gradient is with respect to them. The softmax is
    taken inside, which saves its memory and its backward pass.

    `reduction="mean"` is torch's: each loss divided by its target's length (at least 1), then averaged over
    all B rows. `"sum"` adds the losses, `"none"` returns them as [B].

    `paths="best"` counts the likeliest path alone (the maximum approximation, Viterbi training):
    loss = -max log p(path | x).

    `entropy` takes that many times the entropy of the paths, H(path | target, x) in nats, from the loss, so
    that a network keeps more than one alignment open (Liu, Jin and Zhang, NeurIPS 2018). `smoothing` = s
    makes the loss (1 - s) loss + s sum_t KL(y_t || uniform), which holds back over-confident frames (after Kim,
    Seltzer, Li and Zhao, 2017; their formula from memory).

    A row is impossible when its target needs more frames than there are: one a label, and a blank between
    two equal neighbours; or when probabilities of exactly 0 close every path, or all but paths of a
    probability below e^-1e8. `"raise"` is an InputError, `"warn"` and `"zero"` give the row a loss and a
    gradient of exactly 0. `ctc_loss_rows` also returns which rows they were. `names` are the utterances'
    names for the messages. Half precision is computed in float32. A NaN gives its own row a loss and a
    gradient of NaN.

    `engine` forces what computes: "cpp", "triton" (on CUDA devices), "vendor" (torch's kernel) or "reference"; see
    `karussell.ctc.engine`.
    """
    if reduction not in ("mean", "sum", "none"):
        raise InputError(f"ctc_loss: reduction is {reduction!r}; it must be 'mean', 'sum' or 'none'.")
    result = ctc_loss_rows(
        log_probs,
        targets,
        input_lengths,
        target_lengths,
        blank=blank,
        impossible=impossible,
        names=names,
        given=given,
        paths=paths,
        entropy=entropy,
        smoothing=smoothing,
        engine=engine,
    )
    if reduction == "none":
        return result.losses
    if reduction == "sum":
        return result.losses.sum()
    return (result.losses / result.target_lengths.clamp(min=1)).mean()


def ctc_loss_rows(
    log_probs: Tensor,
    targets: Tensor | Sequence[Tensor | Sequence[int]],
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int] | None = None,
    *,
    blank: int = 0,
    impossible: Impossible = "raise",
    names: Sequence[str] | None = None,
    given: Given = "log_probs",
    paths: Paths = "all",
    entropy: float = 0.0,
    smoothing: float = 0.0,
    engine: Engine = "auto",
) -> CTCResult:
    """Compute the losses as `ctc_loss` does, unreduced, together with the mask of impossible rows."""
    _check_options(impossible, given, paths, entropy, smoothing)
    if log_probs.dim() != 3 or not log_probs.is_floating_point():
        raise InputError(
            f"ctc_loss: log_probs is {list(log_probs.shape)} {log_probs.dtype}; it must be floating-point "
            "[T, B, K], time first. One utterance alone is [T, 1, K]."
        )
    frames, batch, _ = log_probs.shape
    if batch == 0:
        raise InputError("ctc_loss: the batch is empty (B = 0); leave empty batches out.")
    if frames == 0:
        raise InputError("ctc_loss: log_probs has no frame (T = 0); it must be [T, B, K] with T of at least 1.")
    if names is not None and len(names) != batch:
        raise InputError(f"ctc_loss: {len(names)} names came for a batch of {batch}.")

    x = log_probs.float() if log_probs.dtype in (torch.float16, torch.bfloat16) else log_probs
    engine = engines.settle(engine, x, best=paths == "best", entropy=entropy != 0)
    normalised = given == "log_probs"
    logits = not normalised and not (entropy or smoothing)
    if not normalised and not logits:
        x = x.log_softmax(-1)

    def check() -> Targets:
        return _check(log_probs, targets, input_lengths, target_lengths, blank, names, normalised)

    # the kernel looks at every value as it goes; only where it finds something wrong is there a sentence to make
    plain = plain_targets(targets, input_lengths, target_lengths, batch) if engine == "cpp" else None
    if plain is None:
        checked = check()
        plain = Plain(checked.labels, checked.input_lengths, checked.target_lengths)
    # a length beyond all labels is not believed, but refused below
    padded = plain.labels.dim() == 2
    width = plain.labels.shape[1] if padded else min(max(int(plain.target_lengths.max()), 0), len(plain.labels))
    task = Task(*plain, width, blank, paths == "best", logits, _tolerance(log_probs) if normalised else 0.0)
    try:
        losses, entropies, closed = engines.run(engine, x, task, entropy=entropy != 0)
    except RefusedError:
        check()
        raise
    if closed is None or closed:
        mask = _impossible(losses, check)
        closed = bool(mask.any())
    else:
        mask = torch.zeros(batch, dtype=torch.bool)
    if entropies is not None:
        losses = losses - entropy * entropies
    if smoothing:
        losses = (1 - smoothing) * losses + smoothing * _divergence(x, plain.input_lengths)
    if closed:
        message = _closed(mask, check(), names)
        if impossible == "raise":
            raise InputError(message)
        if impossible == "warn":
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        losses = torch.where(mask, 0.0, losses)
    return CTCResult(losses, mask, plain.target_lengths.to(losses.device))


def _check_options(impossible: str, given: str, paths: str, entropy: float, smoothing: float) -> None:
    if impossible not in ("raise", "warn", "zero"):
        raise InputError(f"ctc_loss: impossible is {impossible!r}; it must be 'raise', 'warn' or 'zero'.")
    if given not in ("log_probs", "logits"):
        raise InputError(f"ctc_loss: given is {given!r}; it must be 'log_probs' or 'logits'.")
    if paths not in ("all", "best"):
        raise InputError(f"ctc_loss: paths is {paths!r}; it must be 'all' or 'best'.")
    if entropy and paths == "best":
        raise InputError(f"ctc_loss: entropy is {entropy}, but one path alone has none; use paths='all'.")
    if not 0 <= smoothing <= 1:
        raise InputError(f"ctc_loss: smoothing is {smoothing}; it must be between 0 and 1.")


def _divergence(lp: Tensor, input_lengths: Tensor) -> Tensor:
    """sum_t KL(y_t || uniform) [B] over each row's frames."""
    inside = torch.arange(lp.shape[0], device=lp.device)[:, None] < input_lengths.to(lp.device)
    # 0 log 0 is 0, and frames beyond a length may hold anything
    lp = torch.where(inside[..., None], lp, 0.0).clamp(min=-1e30)
    uniform = torch.tensor(float(lp.shape[-1])).log().item()
    return torch.where(inside, (lp.exp() * (lp + uniform)).sum(-1), 0.0).sum(0)


def _check(
    log_probs: Tensor,
    targets: Tensor | Sequence[Tensor | Sequence[int]],
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int] | None,
    blank: int,
    names: Sequence[str] | None,
    normalised: bool,
) -> Targets:
    """Look at every value; InputError in a sentence for the first that is wrong."""
    frames, batch, classes = log_probs.shape
    checked = check_targets(
        targets,
        input_lengths,
        target_lengths,
        batch=batch,
        frames=frames,
        classes=classes,
        blank=blank,
        names=names,
    )
    if normalised and _seen(log_probs):
        _check_normalised(log_probs, checked, names)
    return checked


def _seen(x: Tensor) -> bool:
    # inside vmap values cannot be asked for
    return not torch._C._functorch.is_batchedtensor(x)


def _impossible(losses: Tensor, check: Callable[[], Targets]) -> Tensor:
    if _seen(losses):
        return losses.detach() == torch.inf
    checked = check()
    return checked.frames_needed > checked.input_lengths


def _tolerance(log_probs: Tensor) -> float:
    return 1e-3 if log_probs.dtype in (torch.float32, torch.float64) else 5e-2


def _check_normalised(log_probs: Tensor, targets: Targets, names: Sequence[str] | None) -> None:
    # one frame is enough to tell log-probabilities from logits and from probabilities; all would cost a pass
    total = log_probs.detach()[0].float().logsumexp(-1).exp()
    wrong = ((total - 1).abs() > _tolerance(log_probs)) & (targets.input_lengths > 0).to(total.device)
    if bool(wrong.any()):
        b = int(wrong.nonzero()[0])
        raise InputError(
            f"ctc_loss: the probabilities in the first frame of {utterance(b, names)} sum to "
            f"{float(total[b]):.4g}, not 1. Pass the output of log_softmax(dim=-1), or logits with given='logits'."
        )


def _closed(mask: Tensor, targets: Targets, names: Sequence[str] | None) -> str:
    missing = targets.frames_needed - targets.input_lengths
    long = (missing > 0).nonzero().flatten().tolist()
    if long:
        b = long[0]
        needed, length = int(targets.frames_needed[b]), int(targets.target_lengths[b])
        repeats = needed - length
        equal = f" with {repeats} between equal neighbours" if repeats else ""
        return (
            f"ctc_loss: {utterance(b, names)} has {int(targets.input_lengths[b])} frames, but its target of "
            f"{length} labels{equal} needs {needed}{_and_more(len(long))}. "
            "Use a network that subsamples less, shorten the target, or pass impossible='warn' or 'zero'."
        )
    rows = mask.nonzero().flatten().tolist()
    return (
        "ctc_loss: probabilities of exactly 0 leave no path through "
        f"{utterance(rows[0], names)}{_and_more(len(rows))}; its loss is infinite. "
        "Look for -inf in log_probs, or pass impossible='warn' or 'zero'."
    )


def _and_more(count: int) -> str:
    return f" (and {count - 1} more in this batch)" if count > 1 else ""
