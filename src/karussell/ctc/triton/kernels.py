"""The CTC loss as Triton kernels: forward and backward variables in log space, one program a row.

States s = 0 … 2 L stand for blanks and labels by turns. Every frame's variables are shifted so that their greatest is
0, so their rounding does not grow with the frames; the shifts are added up in float64. The occupancy of a frame is the
softmax of the two variables' sum over its states. Nothing is added by several programs, so that the same numbers come
out every time.
"""

# mypy: disable-error-code="no-untyped-def"

import triton
import triton.language as tl

NEVER = tl.constexpr(-1e30)


@triton.jit
def join(a, b, c):
    """log(e^a + e^b + e^c); NaN goes through."""
    top = tl.maximum(tl.maximum(a, b), c)
    return top + tl.log(tl.exp(a - top) + tl.exp(b - top) + tl.exp(c - top))


@triton.jit
def classes_of(labels, b, s, width, length, blank):
    """The class of each state, and whether a path may come to it from two states before."""
    at = labels + b * width + s // 2
    odd = (s % 2 == 1) & (s < 2 * length)
    k = tl.load(at, mask=odd, other=0)
    before = tl.load(at - 1, mask=odd & (s > 1), other=-1)
    return tl.where(odd, k, blank).to(tl.int64), odd & (s > 1) & (k != before)


@triton.jit
def emissions(x, shift, t, b, k, there, batch, classes, LOGITS: tl.constexpr):  # noqa: N803
    """The log-probabilities of the states' classes at one frame."""
    line = (t * batch + b).to(tl.int64)
    e = tl.load(x + line * classes + k, mask=there, other=0.0)
    if LOGITS:
        e -= tl.load(shift + line)
    return tl.where(e < NEVER, NEVER, e)


@triton.jit
def forward(
    x, shift, labels, frames, lengths, losses, alpha, batch, classes, width, blank,
    S: tl.constexpr, LOGITS: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Losses [B] and forward variables [T, B, S] from x [T, B, K], padded labels [B, width] and both lengths [B]."""
    b = tl.program_id(0)
    s = tl.arange(0, S)
    steps, length = tl.load(frames + b).to(tl.int32), tl.load(lengths + b).to(tl.int32)
    k, skips = classes_of(labels, b, s, width, length, blank)
    there = s < 2 * length + 1
    # one frame before the first, all weight is at the first blank
    here = tl.where(s == 0, 0.0, NEVER)
    one = tl.where(s == 1, 0.0, NEVER)
    two = tl.full([S], -1e30, tl.float32)
    total = tl.zeros([1], tl.float64)
    for t in range(0, steps):
        here = join(here, one, tl.where(skips, two, NEVER)) + emissions(
            x, shift, t, b, k, there, batch, classes, LOGITS
        )
        here = tl.where(there, tl.where(here < NEVER, NEVER, here), NEVER)
        top = tl.max(here, 0)
        top = tl.where(top > NEVER / 2, top, 0.0)
        here = here - top
        total += top.to(tl.float64)
        row = alpha + (t * batch + b).to(tl.int64) * S
        tl.store(row + s, here)
        # what the neighbours wrote is read in the next frame
        tl.debug_barrier()
        one = tl.load(row + s - 1, mask=s > 0, other=-1e30)
        two = tl.load(row + s - 2, mask=s > 1, other=-1e30)
    last = tl.where((s == 2 * length) | (s == 2 * length - 1), here, NEVER)
    top = tl.max(last, 0)
    found = top + tl.log(tl.sum(tl.exp(last - top), 0))
    loss = -(total + found.to(tl.float64)).to(tl.float32)
    tl.store(losses + b + tl.arange(0, 1), tl.where(found <= NEVER / 2, float("inf"), loss))


@triton.jit
def backward(
    x, shift, labels, frames, lengths, losses, alpha, beta, batch, classes, width, blank,
    S: tl.constexpr, LOGITS: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Occupancies of the states over the forward variables; `beta` [2, B, S] passes from frame to frame."""
    b = tl.program_id(0)
    s = tl.arange(0, S)
    steps, length = tl.load(frames + b).to(tl.int32), tl.load(lengths + b).to(tl.int32)
    k, _ = classes_of(labels, b, s, width, length, blank)
    # whether a path may go two states on
    _, leaps = classes_of(labels, b, s + 2, width, length, blank)
    there = s < 2 * length + 1
    possible = tl.load(losses + b + tl.zeros_like(s)) != float("inf")
    here = tl.where((s == 2 * length) | (s == 2 * length - 1), 0.0, NEVER)
    for n in range(0, steps):
        t = steps - 1 - n
        row = alpha + (t * batch + b).to(tl.int64) * S
        both = tl.load(row + s) + here
        both = both - tl.max(both, 0)
        share = tl.exp(both)
        share = share / tl.sum(share, 0)
        tl.store(row + s, tl.where(there & possible, share, 0.0))
        here = here + emissions(x, shift, t, b, k, there, batch, classes, LOGITS)
        here = tl.where(there, tl.where(here < NEVER, NEVER, here), NEVER)
        top = tl.max(here, 0)
        here = here - tl.where(top > NEVER / 2, top, 0.0)
        part = beta + ((n % 2) * batch + b).to(tl.int64) * S
        tl.store(part + s, here)
        tl.debug_barrier()
        one = tl.load(part + s + 1, mask=s + 1 < S, other=-1e30)
        two = tl.load(part + s + 2, mask=s + 2 < S, other=-1e30)
        here = join(here, one, tl.where(leaps, two, NEVER))


@triton.jit
def spread(
    x, shift, labels, frames, lengths, share, upstream, gradient, steps, batch, classes, width, blank,
    S: tl.constexpr, N: tl.constexpr, K: tl.constexpr, LOGITS: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """upstream [B] times (softmax -) occupancy by class, [T, B, K], of N frames of one row."""
    b = tl.program_id(1)
    t = tl.program_id(0) * N + tl.arange(0, N)
    line = (t * batch + b).to(tl.int64)
    frame_count, length = tl.load(frames + b).to(tl.int32), tl.load(lengths + b).to(tl.int32)
    scale = tl.load(upstream + b + tl.zeros_like(t))
    there = t < steps
    # a row of no weight has a gradient of exactly zero, whatever it holds
    live = there & (t < frame_count) & (scale != 0.0)
    for c in range(0, tl.cdiv(classes, K)):
        k = c * K + tl.arange(0, K)
        value = tl.zeros([N, K], tl.float32)
        if LOGITS:
            mask = live[:, None] & (k < classes)[None, :]
            z = tl.load(x + line[:, None] * classes + k[None, :], mask=mask, other=0.0)
            m = tl.load(shift + line, mask=live, other=0.0)
            value = tl.where(mask, scale[:, None] * tl.exp(z - m[:, None]), 0.0)
        tl.store(gradient + line[:, None] * classes + k[None, :], value, mask=there[:, None] & (k < classes)[None, :])
    # from here on every thread has frames of its own: what it wrote it reads again
    tl.debug_barrier()
    s = tl.arange(0, S)
    shares = tl.load(share + line[:, None] * S + s[None, :], mask=live[:, None] & (s % 2 == 0)[None, :], other=0.0)
    at = gradient + line * classes
    tl.store(at + blank, tl.load(at + blank, mask=live, other=0.0) - scale * tl.sum(shares, 1), mask=live)
    for i in range(0, length):
        k = tl.load(labels + b * width + i)
        tl.debug_barrier()
        old = tl.load(at + k, mask=live, other=0.0)
        tl.store(at + k, old - scale * tl.load(share + line * S + 2 * i + 1, mask=live, other=0.0), mask=live)
