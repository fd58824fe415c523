"""The reference engine: a recurrence in plain torch, step after step, in the dtype of its input.

It is the oracle every other engine is compared with, and it serves what they cannot: any order of derivative, forward
mode, vmap, steps that mix units.
"""

import torch
from torch import Tensor

from karussell.cells.cell import Stage, optional
from karussell.ops.noise import uniform
from karussell.ops.recurrence.options import CANDIDATE, EPSILON, SEEN, ZONEOUT
from karussell.ops.recurrence.request import Answer, Request


def run(q: Request) -> Answer:
    """Run the request; every operation is differentiable as often as one likes."""
    steps, batch = q.x.shape[:2]
    valid = None if q.lengths is None else torch.arange(steps, device=q.x.device)[:, None] < q.lengths
    fed = dict(zip(q.cell.fed, input_products(q, valid), strict=True))
    offsets = biases(q)
    masks = _seen_masks(q, batch)
    state, start = q.full(q.state), q.full(q.start)
    outputs: list[Tensor] = []
    states: list[dict[str, Tensor]] = []
    gates: list[dict[str, Tensor]] = []
    for t in reversed(range(steps)) if q.reverse else range(steps):
        old = _reset(q, state, start, t)
        env, pre = _step(q, t, old, fed, offsets, masks)
        new = {name: env[name] for name in q.cell.state}
        if q.weights.p is not None:
            new[q.cell.state[0]] = new[q.cell.state[0]] @ q.weights.p.T
        new = _zoneout(q, t, old, _clip(q, new))
        keep = None if valid is None else valid[t][:, None]
        state = new if keep is None else {n: torch.where(keep, v, state[n]) for n, v in new.items()}
        shown = new if keep is None else {n: torch.where(keep, v, torch.zeros_like(v)) for n, v in new.items()}
        outputs.append(shown[q.cell.state[0]])
        if q.every_state:
            states.append(shown)
        if q.every_gate:
            gates.append(
                pre if keep is None else {n: torch.where(keep, v, torch.zeros_like(v)) for n, v in pre.items()}
            )
    return Answer(
        _in_time(outputs, q.reverse),
        state,
        {n: _in_time([s[n] for s in states], q.reverse) for n in q.cell.state} if q.every_state else None,
        {n: _in_time([g[n] for g in gates], q.reverse) for n in q.cell.gates} if q.every_gate else None,
    )


def _in_time(values: list[Tensor], reverse: bool) -> Tensor:
    return torch.stack(values[::-1] if reverse else values)


def _normalise(z: Tensor, gain: Tensor, hidden: int) -> Tensor:
    """Layer norm gate by gate (Ba, Kiros & Hinton 2016), gain only: [..., gates * H]."""
    parts = z.unflatten(-1, (-1, hidden))
    mean = parts.mean(-1, keepdim=True)
    variance = (parts - mean).square().mean(-1, keepdim=True)
    return ((parts - mean) * torch.rsqrt(variance + EPSILON)).flatten(-2) * gain


def input_products(q: Request, valid: Tensor | None) -> tuple[Tensor, ...]:
    """W x at all steps, for every fed gate; under layer norm normalised."""
    # what lies beyond a row's length may be anything, and 0 * nan is nan in the gradient of W: clear it first
    x = q.x if valid is None else torch.where(valid[..., None], q.x, torch.zeros_like(q.x))
    products = x @ q.weights.w.T
    if q.weights.norm_x is not None:
        products = _normalise(products, q.weights.norm_x, q.hidden)
    return products.split(q.hidden, -1)


def biases(q: Request) -> dict[str, Tensor]:
    """Biases by the name under which their pre-activation reaches the step."""
    found: dict[str, Tensor] = {}
    if q.weights.b is not None:
        found |= zip(q.cell.gates, q.weights.b.split(q.hidden), strict=True)
        found |= {f"{name}_x": found.pop(name) for name in q.cell.split_gates}
    if q.weights.b_r is not None:
        names = (f"{name}_r" for name in q.cell.split_gates)
        found |= zip(names, q.weights.b_r.split(q.hidden), strict=True)
    return found


def _seen_masks(q: Request, batch: int) -> list[Tensor | None]:
    """Gal's masks: one a stage and sequence on what R multiplies, [B, columns of R]."""
    if not (q.options.training and q.options.dropout and q.options.dropout_on == "seen"):
        return [None] * len(q.weights.r)
    p = q.options.dropout
    masks: list[Tensor | None] = []
    for k, r in enumerate(q.weights.r):
        kept = uniform(q.noise, SEEN + k, 0, batch, r.shape[1]).to(r.device) >= p
        masks.append(kept.to(r.dtype) / (1 - p))
    return masks


def _reset(q: Request, state: dict[str, Tensor], start: dict[str, Tensor], t: int) -> dict[str, Tensor]:
    if q.resets is None:
        return state
    # backwards, a sequence that starts at t + 1 ends the one that the state came from
    at = t + 1 if q.reverse else t
    if at >= q.resets.shape[0]:
        return state
    anew = q.resets[at][:, None]
    return {n: torch.where(anew, start[n], v) for n, v in state.items()}


def _step(
    q: Request,
    t: int,
    state: dict[str, Tensor],
    fed: dict[str, Tensor],
    biases: dict[str, Tensor],
    masks: list[Tensor | None],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """One step: the values of all states after it, and the pre-activations of all gates."""
    env = {**state, **q.weights.units, **{n: v[t] for n, v in q.inputs.items()}}
    if q.options.training and q.options.dropout and q.options.dropout_on == "candidate":
        env["drop"] = _candidate_mask(q, t)
    pre: dict[str, Tensor] = {}
    seeing = 0
    for stage in q.cell.stages:
        recurrent: tuple[Tensor, ...] | None = None
        if stage.sees:
            seen = torch.cat([env[name] for name in stage.sees], -1)
            mask = masks[seeing]
            z = (seen if mask is None else seen * mask) @ q.weights.r[seeing].T
            if q.weights.norm_r is not None:
                z = _normalise(z, q.weights.norm_r[seeing], q.hidden)
            recurrent = z.split(q.hidden, -1)
            seeing += 1
        arrivals = _arrivals(q, stage, t, fed, biases, recurrent)
        pre |= {g: arrivals[g] if g in arrivals else arrivals[f"{g}_x"] + arrivals[f"{g}_r"] for g in stage.gates}
        env |= zip(stage.writes, _apply(stage, env | arrivals), strict=True)
    return env, pre


def _arrivals(
    q: Request,
    stage: Stage,
    t: int,
    fed: dict[str, Tensor],
    biases: dict[str, Tensor],
    recurrent: tuple[Tensor, ...] | None,
) -> dict[str, Tensor]:
    """The pre-activations of a stage, by the names under which its step takes them."""
    parts: dict[str, list[Tensor]] = {}
    for k, name in enumerate(stage.gates):
        x_name, r_name = (f"{name}_x", f"{name}_r") if name in stage.split else (name, name)
        terms = [(x_name, fed[name][t])] if stage.input else []
        terms += [] if recurrent is None else [(r_name, recurrent[k])]
        for key, value in terms:
            parts.setdefault(key, []).append(value)
        for key in dict.fromkeys((x_name, r_name)):
            if key in biases:
                parts.setdefault(key, []).append(biases[key])
    batch = q.x.shape[1]
    return {key: sum(v[1:], v[0]).expand(batch, q.hidden) for key, v in parts.items()}


def _apply(stage: Stage, env: dict[str, Tensor]) -> tuple[Tensor, ...]:
    extra = {name: env[name] for name in optional(stage) if name in env}
    values = stage.step(*(env[name] for name in stage.takes), **extra)
    values = values if isinstance(values, tuple) else (values,)
    if len(values) != len(stage.writes):
        raise ValueError(
            f"recurrence: a step gave {len(values)} values, but its stage writes {', '.join(stage.writes)}"
        )
    return values


def _candidate_mask(q: Request, t: int) -> Tensor:
    p = q.options.dropout
    kept = uniform(q.noise, CANDIDATE, t, q.x.shape[1], q.hidden).to(q.x.device) >= p
    return kept.to(q.x.dtype) / (1 - p)


def _clip(q: Request, new: dict[str, Tensor]) -> dict[str, Tensor]:
    limits = {n: limit for n, limit in q.options.clip.items() if limit}
    return {n: v.clamp(-limits[n], limits[n]) if n in limits else v for n, v in new.items()}


def _zoneout(q: Request, t: int, old: dict[str, Tensor], new: dict[str, Tensor]) -> dict[str, Tensor]:
    result = dict(new)
    for k, name in enumerate(q.cell.state):
        rate = q.options.zoneout.get(name, 0.0)
        if not rate:
            continue
        if q.options.training:
            stays = uniform(q.noise, ZONEOUT + k, t, *new[name].shape).to(q.x.device) < rate
            result[name] = torch.where(stays, old[name], new[name])
        else:
            result[name] = rate * old[name] + (1 - rate) * new[name]
    return result
