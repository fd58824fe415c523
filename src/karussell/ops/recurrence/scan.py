"""The scan engine: cells whose gates do not see the past, all steps at once, in plain torch.

The tracer proves a program affine in what it carries (program.affine); then its gates are one large product and
elementwise arithmetic over all steps, and every carried state is one linear recurrence (linear.py). Any device, dtype
and order of derivative, functorch transforms and forward mode: what else only the reference engine has.
"""

from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor

from karussell.cells import Cell
from karussell.ops.context import constant
from karussell.ops.recurrence import cpp, reference
from karussell.ops.recurrence.linear import before, linear
from karussell.ops.recurrence.request import Answer, Request
from karussell.program import TraceError
from karussell.program.affine import Affine, NotAffineError, affine
from karussell.program.graph import needed
from karussell.program.interpret import OPERATIONS


def why_not(q: Request) -> str | None:
    """Why a scan cannot run this request, in a few words; None if it can."""
    if not q.options.plain:
        return "a scan has no zoneout, no recurrent dropout and no clipping"
    if q.weights.p is not None:
        return "a scan has no projection"
    return _why_never(q.cell)


@constant
def _why_never(cell: Cell) -> str | None:
    return _proof(cell) if isinstance(_proof(cell), str) else None  # type: ignore[return-value]


@lru_cache(maxsize=1024)
def _proof(cell: Cell) -> Affine | str:
    """The proof that a cell's program is affine, or why there is none."""
    try:
        return affine(cpp._known(cell))
    except (NotAffineError, TraceError) as error:
        return str(error)


def run(q: Request) -> Answer:
    """Run the request; every operation is differentiable as often as one likes."""
    proof = _proof(q.cell)
    assert isinstance(proof, Affine)
    steps, batch = q.x.shape[:2]
    shape = (steps, batch, q.hidden)
    valid = None if q.lengths is None else (torch.arange(steps, device=q.x.device)[:, None] < q.lengths)[..., None]
    gates = _gates(q, None if valid is None else valid[..., 0])
    state, start = q.full(q.state), q.full(q.start)
    names = q.cell.state
    given = {**gates, **_fixed(q)}
    new: dict[str, Tensor] = {}
    for line in proof.lines:
        name = names[line.state]
        a, b = (v.expand(shape) for v in _evaluate(proof, (line.a, line.b), given, q.x))
        if q.resets is not None:
            a, b = _reset(q, a, b, start[name])
        if valid is not None:
            # beyond the end a state stands still
            a, b = torch.where(valid, a, 1), torch.where(valid, b, 0)
        new[name] = linear(a, b, state[name], q.reverse)
        given[f"v{line.state}"] = _old(q, new[name], state[name], start[name])
    rest = [s for s, n in enumerate(names) if n not in new]
    values = _evaluate(proof, [proof.new[s] for s in rest], given, q.x)
    last = 0 if q.reverse else steps - 1
    final = {n: v[last] for n, v in new.items()}
    for s, value in zip(rest, values, strict=True):
        new[names[s]] = value = value.expand(shape)
        final[names[s]] = value[last] if q.lengths is None else _last(q, value, state[names[s]])
    shown = new if valid is None else {n: torch.where(valid, v, 0) for n, v in new.items()}
    return Answer(
        shown[names[0]],
        {n: final[n] for n in names},
        {n: shown[n] for n in names} if q.every_state else None,
        (gates if valid is None else {n: torch.where(valid, v, 0) for n, v in gates.items()}) if q.every_gate else None,
    )


def _gates(q: Request, valid: Tensor | None) -> dict[str, Tensor]:
    """The pre-activations of all gates at all steps, [T, B, H] each."""
    products = dict(zip(q.cell.fed, reference.input_products(q, valid), strict=True))
    biases = reference.biases(q)
    return {n: z + biases[n] if n in biases else z for n, z in products.items()}


def _fixed(q: Request) -> dict[str, Tensor]:
    """Unit vectors, constants and per-step inputs by the names that instructions have for them."""
    p = cpp._known(q.cell)
    values = {**q.weights.units, **q.inputs}
    return {f"v{p.first_fixed + k}": values[n] for k, n in enumerate(p.fixed)}


def _evaluate(
    proof: Affine, wanted: tuple[int, ...] | list[int], given: Mapping[str, Tensor], x: Tensor
) -> list[Tensor]:
    """The values of some instructions over all steps."""
    found: dict[int, Tensor] = {}
    for k in sorted(needed(proof.nodes, wanted)):
        node = proof.nodes[k]
        if node.op == "input":
            found[k] = given[node.name]
        elif node.op == "constant":
            found[k] = x.new_full((), node.value)
        else:
            found[k] = OPERATIONS[node.op](*(found[arg] for arg in node.args))
    return [found[k] for k in wanted]


def _cuts(q: Request) -> Tensor:
    """Where a state comes from a start and not from the step before, [T, B, 1]."""
    assert q.resets is not None
    if not q.reverse:
        return q.resets[..., None]
    # backwards, a sequence that starts at t + 1 ends the one that the state came from
    return torch.cat([q.resets[1:], torch.zeros_like(q.resets[:1])])[..., None]


def _reset(q: Request, a: Tensor, b: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    cuts = _cuts(q)
    return torch.where(cuts, 0, a), torch.where(cuts, b + a * start, b)


def _old(q: Request, new: Tensor, state: Tensor, start: Tensor) -> Tensor:
    old = before(new, state, q.reverse)
    return old if q.resets is None else torch.where(_cuts(q), start, old)


def _last(q: Request, value: Tensor, state: Tensor) -> Tensor:
    """A value at each row's last valid step; what was given where there is none."""
    assert q.lengths is not None
    last = torch.zeros_like(q.lengths) if q.reverse else (q.lengths - 1).clamp(min=0)
    found = value.gather(0, last[None, :, None].expand(1, *value.shape[1:]))[0]
    return torch.where((q.lengths > 0)[:, None], found, state)
