"""The vendor engine: torch's own fused kernel, where the cell is exactly the one it has.

Ragged rows run at padded speed, without packing or sorting. An input column that is 1 beyond a row's length drives the
gates so hard that the state stands still there to the last bit (LSTM: i = 0, f = 1; GRU: z = 1), so the kernel's
final state is that of the last valid step; a backward direction runs forward over rows flipped within their length.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from karussell.cells import GRU, LSTM, RNN, Cell, ReLURNN
from karussell.ops.context import forward_mode, transformed
from karussell.ops.recurrence.request import Answer, Request

# sigmoid(+-3e4) is 1 and 0 exactly and its derivative is 0, and 3e4 is finite in half precision too
_FORCE = 3e4
_FREEZE = {LSTM: {"i": -_FORCE, "f": _FORCE}, GRU: {"z": _FORCE}, RNN: {}, ReLURNN: {}}
_KERNEL: dict[Cell, Callable] = {LSTM: torch.lstm, GRU: torch.gru, RNN: torch.rnn_tanh, ReLURNN: torch.rnn_relu}


def why_not(q: Request) -> str | None:
    """Why this request is not exactly what a torch kernel computes, in a few words; None if it is."""
    if torch.compiler.is_compiling():
        return "torch's kernels are unrolled over time, or refused, by torch.compile and torch.export"
    if q.cell not in _KERNEL:
        return f"torch has no kernel for {q.cell.name}"
    if not q.options.plain:
        return "torch's kernels have neither zoneout nor recurrent dropout"
    if q.weights.norm_x is not None:
        return "torch's kernels have no layer norm"
    if q.resets is not None:
        return "torch's kernels cannot reset a row inside a sequence"
    if q.every_gate or (q.every_state and len(q.cell.state) > 1):
        return "torch's kernels give the output alone at every step"
    if q.weights.p is not None and q.lengths is not None:
        return "torch's projected LSTM has no ragged rows here"
    if transformed():
        return "torch's kernels have no rules for functorch transforms"
    if forward_mode():
        return "torch's kernels have no forward-mode derivative"
    if q.x.dtype not in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        return f"torch's kernels do not compute in {q.x.dtype}"
    return None


def run(q: Request) -> Answer:
    """Run the request on torch's kernel."""
    w, x, lengths = q.weights.w, q.x, q.lengths
    if lengths is not None:
        valid = torch.arange(x.shape[0], device=x.device)[:, None] < lengths
        beyond = (~valid)[..., None].to(x.dtype)
        x = torch.cat([torch.where(valid[..., None], x, torch.zeros_like(x)), beyond], -1)
        w = torch.cat([w, _freezing_column(q)], 1)
    if q.reverse:
        x = _flip(x, lengths)
    given = q.full(q.state)
    y, state = _call(q, x, w, given)
    if lengths is not None:
        y = torch.where(valid[..., None], y, torch.zeros_like(y))
        last = (lengths - 1).clamp(min=0).expand(1, -1)[..., None].expand(1, *y.shape[1:])
        final = torch.where((lengths > 0)[:, None], y.gather(0, last)[0], given["h"])
        state = {**state, "h": final}
    if q.reverse:
        y = _flip(y, lengths)
    return Answer(y, state, {"h": y} if q.every_state else None)


def _call(q: Request, x: Tensor, w: Tensor, given: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    flat = [w, q.weights.r[0]]
    biased = q.weights.b is not None
    if q.weights.b is not None:
        b_r = torch.zeros_like(q.weights.b)
        if q.weights.b_r is not None:
            b_r = torch.cat([b_r[: -q.weights.b_r.shape[0]], q.weights.b_r])
        flat += [q.weights.b, b_r]
    if q.weights.p is not None:
        flat.append(q.weights.p)
    kernel = _KERNEL[q.cell]
    tail = (flat, biased, 1, 0.0, torch.is_grad_enabled(), False, False)
    states = [given[name][None].contiguous() for name in q.cell.state]
    if q.cell is LSTM:
        y, h, c = kernel(x, states, *tail)
        return y, {"h": h[0], "c": c[0]}
    y, h = kernel(x, states[0], *tail)
    return y, {"h": h[0]}


def _freezing_column(q: Request) -> Tensor:
    force = _FREEZE[q.cell]
    return torch.cat([q.weights.w.new_full((q.hidden, 1), force.get(gate, 0.0)) for gate in q.cell.gates])


def _flip(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Reverse the valid part of every row; what lies beyond stays."""
    if lengths is None:
        return x.flip(0)
    t = torch.arange(x.shape[0], device=x.device)[:, None]
    index = torch.where(t < lengths, lengths - 1 - t, t)
    return x.gather(0, index[..., None].expand_as(x))
