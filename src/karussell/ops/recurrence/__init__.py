"""Recurrences on tensors: the one public function, its checks, and the choice of the engine."""

from collections.abc import Mapping, Sequence
from typing import get_args

import torch
from torch import Tensor

from karussell.cells import Cell
from karussell.errors import EngineError
from karussell.ops.context import narrowed, no_autocast
from karussell.ops.engine import Engine, record
from karussell.ops.noise import Noise
from karussell.ops.recurrence import cpp, reference, scan, triton, vendor
from karussell.ops.recurrence.auto import fastest
from karussell.ops.recurrence.door import check_lengths, check_resets, check_weights, given_inputs, given_state
from karussell.ops.recurrence.options import Options, check
from karussell.ops.recurrence.request import Answer, Recompute, Request, Result
from karussell.ops.recurrence.weights import Shapes as Shapes
from karussell.ops.recurrence.weights import Weights as Weights
from karussell.ops.recurrence.weights import dense
from karussell.ops.recurrence.weights import shapes as shapes

PLAIN = Options()


def recurrence(
    cell: Cell,
    x: Tensor,
    weights: Weights,
    state: Sequence[Tensor] | None = None,
    *,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    start: Sequence[Tensor] | None = None,
    inputs: Mapping[str, Tensor] | None = None,
    reverse: bool = False,
    options: Options = PLAIN,
    noise: Noise | None = None,
    every_state: bool = False,
    every_gate: bool = False,
    recompute: Recompute = "none",
    engine: Engine = Engine.auto,
) -> Result:
    """Run a cell over a batch of sequences, one direction, one layer.

    x        [T, B, I]; the weights' shapes are those of `shapes(cell, I, H)`
    state    the cell's states, each [B, width]; zeros if not given
    lengths  [B] integers from 0 to T: outputs beyond are zero, the final state is that of the last valid step
    resets   [T, B] booleans: before this step the row's state is set to `start` (zeros if not given), as at the
             beginning of an episode; in the reverse direction the cut is made at the same place
    inputs   the cell's per-step inputs by name, [T, B] or [T, B, H]
    reverse  from the last valid step to the first
    noise    what masks are keyed by; needed where `options` draw any
    recompute  what backward computes again instead of finding it stored: "gates" from the states of every step, or
             "segments", also those but for a few. A matter of memory on the compiled engine, called as it is; in graphs
             of torch.compile and on other engines everything is stored. No result depends on it
    engine   auto, or the one to force: EngineError if it cannot run this

    Raises ValueError where a shape, a dtype or an option does not fit, naming what came and what was needed.
    """
    shown = (every_state, every_gate, recompute)
    request = _request(cell, x, weights, state, lengths, resets, start, inputs, reverse, options, noise, *shown)
    return _finish(request, _choose(request, Engine(engine)))


def both(
    cell: Cell,
    x: Tensor,
    weights: Sequence[Weights],
    state: Sequence[Sequence[Tensor] | None] = (None, None),
    *,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    start: Sequence[Sequence[Tensor] | None] = (None, None),
    inputs: Mapping[str, Tensor] | None = None,
    options: Options = PLAIN,
    noise: Sequence[Noise | None] = (None, None),
    every_state: bool = False,
    every_gate: bool = False,
    recompute: Recompute = "none",
    engine: Engine = Engine.auto,
) -> list[Result]:
    """Run both directions of a layer: `recurrence` forwards, then in reverse, each with weights and states of its own.

    Where the engine has one, it is one launch for both.
    """
    shown = (every_state, every_gate, recompute)
    requests = [
        _request(cell, x, w, s, lengths, resets, anew, inputs, reverse, options, n, *shown)
        for w, s, anew, n, reverse in zip(weights, state, start, noise, (False, True), strict=True)
    ]
    chosen = _choose(requests[0], Engine(engine))
    if chosen is Engine.triton:
        record(chosen)
        return [_result(cell, answer, chosen) for answer in triton.run_together(requests)]
    return [_finish(q, chosen) for q in requests]


def _finish(q: Request, chosen: Engine) -> Result:
    if narrowed(q.x.device.type):
        with no_autocast(q.x.device.type):
            answer = _RUN[chosen](q)
    else:
        answer = _RUN[chosen](q)
    if chosen is not Engine.cpp and not torch.compiler.is_compiling():
        record(chosen)  # the compiled engine says itself when it runs, in graphs too
    return _result(q.cell, answer, chosen)


def _request(
    cell: Cell,
    x: Tensor,
    weights: Weights,
    state: Sequence[Tensor] | None,
    lengths: Tensor | None,
    resets: Tensor | None,
    start: Sequence[Tensor] | None,
    inputs: Mapping[str, Tensor] | None,
    reverse: bool,
    options: Options,
    noise: Noise | None,
    every_state: bool,
    every_gate: bool,
    recompute: Recompute,
) -> Request:
    """Everything checked."""
    hidden, sizes = check_weights(cell, x, weights)
    check(options, cell)
    if options.random and noise is None:
        raise ValueError("recurrence: zoneout and dropout draw masks in training; give noise=Noise(seed, step)")
    if (weights.norm_x is not None) != (weights.norm_r is not None):
        raise ValueError("recurrence: layer norm needs both gains, norm_x and norm_r")
    if recompute not in get_args(Recompute):
        raise ValueError(f"recurrence: recompute is {recompute!r}; it must be 'none', 'gates' or 'segments'")
    ends = check_lengths(lengths, x)
    return Request(
        cell=cell,
        x=x,
        weights=dense(cell, weights, hidden),
        hidden=hidden,
        state=given_state(cell, "state", state, x, sizes, hidden),
        lengths=ends,
        resets=check_resets(resets, x, ends),
        start=given_state(cell, "start", start, x, sizes, hidden),
        inputs=given_inputs(cell, inputs, x, hidden, ends),
        reverse=reverse,
        options=options,
        noise=noise or Noise(0, 0),
        every_state=every_state,
        every_gate=every_gate,
        normed=weights.norm_x is not None,
        recompute=recompute,
        projected=0 if weights.p is None else weights.p.shape[0],
    )


_RUN = {
    Engine.reference: reference.run,
    Engine.vendor: vendor.run,
    Engine.cpp: cpp.run,
    Engine.triton: triton.run,
    Engine.scan: scan.run,
}
_WHY_NOT = {
    Engine.vendor: vendor.why_not,
    Engine.cpp: cpp.why_not,
    Engine.triton: triton.why_not,
    Engine.scan: scan.why_not,
}
# from so many steps on a scan is the faster of the two in plain torch, as `karussell bench layers --groups scan` shows
_SCAN_FROM = 16


def _choose(q: Request, asked: Engine) -> Engine:
    if asked is Engine.reference:
        return asked
    if asked is not Engine.auto:
        reason = _WHY_NOT[asked](q)
        if reason is not None:
            raise EngineError(f"engine '{asked}' was forced, but {reason}. Use engine='auto' or 'reference'")
        return asked
    if vendor.why_not(q) is not None:
        if q.x.is_cuda and triton.why_not(q) is None:
            return Engine.triton
        return Engine.cpp if cpp.why_not(q) is None else _plain_torch(q)
    if torch.compiler.is_compiling():
        # sizes are symbols there, and torch's kernel would be unrolled over them
        return Engine.cpp if cpp.why_not(q) is None else Engine.vendor
    if q.recompute != "none" and cpp.why_not(q) is None:
        return Engine.cpp
    faster = fastest(q.cell.name, *q.x.shape[:2], q.hidden, _learns(q), torch.get_num_threads(), q.lengths is not None)
    return Engine.cpp if faster is Engine.cpp and cpp.why_not(q) is None else Engine.vendor


def _plain_torch(q: Request) -> Engine:
    """Where nothing is compiled: a scan of a long sequence if the cell allows one, else step after step."""
    if torch.compiler.is_compiling() or q.x.shape[0] < _SCAN_FROM:
        return Engine.reference
    return Engine.scan if scan.why_not(q) is None else Engine.reference


def _learns(q: Request) -> bool:
    w = q.weights
    return torch.is_grad_enabled() and any(v is not None and v.requires_grad for v in (q.x, w.w, *w.r, w.b))


def _result(cell: Cell, answer: Answer, engine: Engine) -> Result:
    def narrow(name: str, value: Tensor) -> Tensor:
        return value[..., :: cell.block] if name in cell.shared and cell.block > 1 else value

    def pack(values: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return cell.State(*(narrow(name, values[name]) for name in cell.state))

    return Result(
        answer.y,
        pack(answer.state),
        None if answer.states is None else pack(answer.states),
        None if answer.gates is None else {n: narrow(n, v) for n, v in answer.gates.items()},
        engine,
    )
