"""The compiled engine as operators of torch: what torch.compile, torch.export and fake tensors see of a recurrence.

    karussell::recurrence(program, tensors, lengths, resets, inputs, noise, flags, rates) -> outputs
    karussell::recurrence_backward(..., outputs, grads, wanted) -> gradients of the wanted tensors

program  the program's JSON, so that a saved graph runs in another process, a cell of a user's own in it as well
tensors  the differentiable inputs in the flat order of invoke.Inputs; None for what is not given
lengths  [B] int64;  resets  [T, B] bool;  inputs  per-step inputs in the program's order, [T, B, 1] or [T, B, H]
noise    what masks are keyed by, int64 [3]: seed, step, stream
flags    whole numbers in the order of Flags;  rates: recurrent dropout, the zoneout of every state, its clipping
outputs  y, the final states, the other states at every step if shown; with `keep` what the backward pass reads

New options are further tensors at the end of the flat order, further flags and further rates: the schema stays.
Plain eager calls do not come here, an autograd.Function costs them less (see cpp.py).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from karussell.errors import EngineError
from karussell.ops.context import forward_mode, seen, transformed
from karussell.ops.engine import Engine, record
from karussell.ops.noise import Noise
from karussell.ops.recurrence import invoke
from karussell.ops.recurrence.call import KIND
from karussell.ops.recurrence.gradients import gradients
from karussell.ops.recurrence.higher import gradients_again, wanted_again
from karussell.ops.recurrence.invoke import Forward, Inputs, allocate, courses
from karussell.ops.recurrence.options import Options
from karussell.ops.recurrence.request import Request
from karussell.ops.recurrence.weights import Weights, shapes
from karussell.program import Program
from karussell.program.rebuild import cell_of

Flat = Sequence[Tensor | None]


class Flags(NamedTuple):
    """The whole numbers of a call. New ones come last, with a default, so that older graphs still run."""

    hidden: int
    reverse: int
    every_state: int
    keep: int
    training: int
    candidate: int


class Arguments(NamedTuple):
    """The operator's arguments, in its order."""

    program: str
    tensors: Flat
    lengths: Tensor | None
    resets: Tensor | None
    inputs: Sequence[Tensor]
    noise: Tensor | None
    flags: Sequence[int]
    rates: Sequence[float]


_ARGUMENTS = "str program, Tensor?[] tensors, Tensor? lengths, Tensor? resets, Tensor[] inputs, Tensor? noise, "
_ARGUMENTS += "SymInt[] flags, float[] rates"
_LIBRARY = torch.library.Library("karussell", "FRAGMENT")
_LIBRARY.define(f"recurrence({_ARGUMENTS}) -> Tensor[]")
_LIBRARY.define(
    f"recurrence_backward({_ARGUMENTS}, Tensor[] outputs, Tensor?[] grads, bool[] wanted) -> Tensor[]",
)


class Named(Protocol):
    """What a call needs to know of a program."""

    @property
    def json(self) -> str:
        """The program itself."""

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the states."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the per-step inputs."""


def call(q: Request, p: Named, tensors: Flat) -> list[Tensor]:
    """Run a request through the operator; y, the final states, the other states if shown, and what else it keeps."""
    keep = any(t is not None and t.requires_grad for t in tensors) and torch.is_grad_enabled()
    # an exported graph is mostly run without gradients; where they are wanted after all, they are computed anew
    keep = keep and not torch.compiler.is_exporting()
    o = q.options
    flags = Flags(q.hidden, q.reverse, q.every_state, keep, o.training, o.dropout_on == "candidate")
    rates = [o.dropout, *(o.zoneout.get(n, 0.0) for n in p.states), *(o.clip.get(n, 0.0) for n in p.states)]
    noise = q.noise.packed() if o.random else None
    # a mask on the candidate is an input of the program that is drawn, not given
    inputs = [q.inputs[n] for n in p.inputs if n in q.inputs]
    return torch.ops.karussell.recurrence(
        p.json, list(tensors), q.lengths, q.resets, inputs, noise, list(map(int, flags)), rates
    )


@lru_cache(maxsize=256)
def program_of(text: str) -> Program:
    """The program that a graph carries."""
    try:
        return Program.from_json(text)
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(
            f"karussell::recurrence: the graph carries a program that this version does not read ({error}); "
            "export the layer again"
        ) from error


class Known(NamedTuple):
    """What a call is before any tensor: a request without them, and the shapes that the tensors after x must have."""

    q: Request
    p: Program
    keep: bool
    fixed: tuple[tuple[int, ...], ...]
    gains: list[tuple[int, ...]]


def _known(program: str, flags: tuple[int, ...], rates: tuple[float, ...]) -> Known:
    p, given = program_of(program), Flags(*flags)
    hidden, cell = given.hidden, cell_of(p)
    on: Literal["candidate", "seen"] = "candidate" if given.candidate else "seen"
    count = 1 + len(p.states)
    zoneout, clip = (dict(zip(p.states, part, strict=False)) for part in (rates[1:count], rates[count:]))
    options = Options(bool(given.training), zoneout, rates[0], on, clip)
    nothing = torch.empty(0)
    q = Request(
        cell=cell,
        x=nothing,
        weights=Weights(nothing),
        hidden=hidden,
        state=None,
        lengths=None,
        resets=None,
        start=None,
        inputs={},
        reverse=bool(given.reverse),
        options=options,
        noise=_NO_NOISE,
        every_state=bool(given.every_state),
        every_gate=False,
    )
    need = shapes(cell, 1, hidden)
    gains: list[tuple[int, ...]] = [(need.norm_x,), *((n,) for n in need.norm_r)]
    return Known(q, p, bool(given.keep), (need.w, (len(p.arrivals) * hidden,), *need.r), gains)


_NO_NOISE = Noise(0, 0)
_known_before = lru_cache(maxsize=1024)(_known)


def _request(a: Arguments) -> Known:
    """The request as it was, its cell made from the program; differentiable tensors stay in the flat order."""
    # numbers that a compiler keeps open are no keys
    closed = all(type(v) is int for v in a.flags)
    known = (_known_before if closed else _known)(a.program, tuple(a.flags), tuple(a.rates))
    x, p = a.tensors[0], known.p
    assert x is not None
    noise = _NO_NOISE if a.noise is None else Noise(*a.noise.tolist())
    inputs = dict(zip(p.inputs, a.inputs, strict=False)) if p.inputs else {}
    normed = Inputs.of(p, a.tensors).norm_x is not None
    q = known.q._replace(x=x, lengths=a.lengths, resets=a.resets, inputs=inputs, noise=noise, normed=normed)
    _check(q, known, a.tensors)
    return known._replace(q=q)


def _check(q: Request, known: Known, tensors: Flat) -> None:
    """The door of the operator, which anybody may call: the loop reads memory as the shapes say."""
    p, (steps, batch, inputs), (w, *fixed) = known.p, q.x.shape, known.fixed
    expected = [(w[0], inputs), *fixed, *[(batch, q.hidden)] * len(p.states)]
    expected += [(q.hidden,)] * (len(p.units) + len(p.constants)) + [(batch, q.hidden)] * len(p.states)
    expected += known.gains
    for k, (tensor, shape) in enumerate(zip(tensors[1:], expected, strict=False)):
        if tensor is not None and (tensor.shape != shape or tensor.dtype is not q.x.dtype):
            raise ValueError(
                f"karussell::recurrence: tensor {k + 1} is {list(tensor.shape)} {tensor.dtype}, but {p.name} with x "
                f"{list(q.x.shape)} {q.x.dtype} and H = {q.hidden} needs {list(shape)}"
            )
    if q.x.dtype not in KIND:
        raise ValueError(f"karussell::recurrence: x is {q.x.dtype}; it must be float32 or float64")
    if q.lengths is not None and (q.lengths.shape != (batch,) or q.lengths.dtype is not torch.int64):
        raise ValueError(f"karussell::recurrence: lengths is {list(q.lengths.shape)}; it must be [B] int64")
    for name, value in q.inputs.items():
        if value.shape not in ((steps, batch, 1), (steps, batch, q.hidden)):
            raise ValueError(f"karussell::recurrence: input {name} is {list(value.shape)}; it must be [T, B, 1 or H]")


def _contiguous(p: Program, tensors: Flat) -> Inputs:
    return Inputs.of(p, [None if t is None else t.contiguous() for t in tensors])


def _flat(p: Program, made: Forward) -> list[Tensor]:
    count, course = len(p.states), dict(made.history)
    shown = [course.pop(count), *made.final]
    shown += [course.pop(v) for v in range(count + 1, 2 * count) if v in course]
    return [*shown, *course.values(), *([] if made.lines is None else [made.lines])]


def _made(q: Request, p: Program, outputs: Sequence[Tensor]) -> Forward:
    """The inverse, of outputs that were kept."""
    count, values = len(p.states), courses(q, p, keep=True)
    own = [v for v in values if count < v < 2 * count]
    order = [count, *own, *(v for v in values if not count <= v < 2 * count)]
    course = [outputs[0], *outputs[1 + count : -1]]
    return Forward(list(outputs[1 : 1 + count]), outputs[-1], dict(zip(order, course, strict=True)))


def _forward(*arguments: Any) -> list[Tensor]:
    a = Arguments(*arguments)
    q, p, keep, *_ = _request(a)
    if q.lengths is not None:
        # what eager code checks before a call is checked here for compiled code: no step beyond x may be read
        lengths = q.lengths.tolist()
        if lengths and (min(lengths) < 0 or max(lengths) > q.x.shape[0]):
            raise ValueError(
                f"recurrence: lengths run from {min(lengths)} to {max(lengths)}, but x has {q.x.shape[0]} steps"
            )
    record(Engine.cpp)
    if q.x.shape[1] == 0:
        return _flat(p, allocate(q, p, q.x, keep))
    return _flat(p, invoke.forward(q, p, _contiguous(p, a.tensors), keep))


def _backward(*arguments: Any) -> list[Tensor]:
    a, (outputs, grads, wanted) = Arguments(*arguments[:8]), arguments[8:]
    q, p, *_ = _request(a)
    if q.x.shape[1] == 0:
        return [torch.zeros_like(t) for t, want in zip(a.tensors, wanted, strict=True) if want and t is not None]
    inputs = _contiguous(p, a.tensors)
    made = _made(q, p, outputs) if outputs else invoke.forward(q, p, inputs, keep=True)
    assert made.lines is not None
    flows = [None if g is None else g.contiguous() for g in grads]
    # an operator leaves its arguments as they are
    back = invoke.backward(q, p, inputs, made.lines, made.history, flows, spare=bool(outputs))
    found = gradients(q, p, inputs, made.history, back, wanted)
    return [g for g, want in zip(found, wanted, strict=True) if want and g is not None]


def _fake_forward(*arguments: Any) -> list[Tensor]:
    q, p, keep, *_ = _request(Arguments(*arguments)._replace(noise=None))
    return _flat(p, allocate(q, p, q.x, keep))


def _fake_backward(*arguments: Any) -> list[Tensor]:
    tensors, wanted = arguments[1], arguments[10]
    return [t.new_empty(t.shape) for t, want in zip(tensors, wanted, strict=True) if want]


def _autograd(*arguments: Any) -> list[Tensor]:
    a = Arguments(*arguments)
    _refuse(a)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in a.tensors):
        return list(_Differentiable.apply(a._replace(tensors=()), *a.tensors))
    with torch._C._AutoDispatchBelowAutograd():
        # two more trips through the dispatcher only where somebody else has a say
        return torch.ops.karussell.recurrence(*a) if seen((*a.tensors, a.lengths)) else _forward(*a)


def _refuse(a: Arguments) -> None:
    """Derivatives that the operator has not; silence would be zeros."""
    reason = None
    if transformed():
        reason = "no functorch transforms"
    elif forward_mode() and any(_dual(t) for t in (*a.tensors, *a.inputs)):
        reason = "no forward-mode derivative"
    elif a.inputs and torch.is_grad_enabled() and any(t.requires_grad for t in a.inputs):
        reason = "no gradient of per-step inputs"
    if reason is not None:
        raise _refusal(reason)


def _dual(t: Tensor | None) -> bool:
    return t is not None and torch.autograd.forward_ad.unpack_dual(t).tangent is not None


def _refusal(reason: str) -> EngineError:
    return EngineError(
        f"karussell::recurrence: the compiled engine in this graph has {reason}. Call the layer itself, or trace it "
        "with engine='reference'"
    )


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Arguments, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        with torch._C._AutoDispatchBelowAutograd():
            outputs = torch.ops.karussell.recurrence(*a._replace(tensors=list(tensors)))
        p, flags = program_of(a.program), Flags(*a.flags)
        shown = 1 + len(p.states) + (len(p.states) - 1) * flags.every_state
        kept = outputs if flags.keep else []
        ctx.mark_non_differentiable(*outputs[shown:])
        ctx.set_materialize_grads(False)
        ctx.sizes = (len(tensors), len(a.inputs), shown)
        ctx.a = a._replace(lengths=None, resets=None, inputs=(), noise=None)
        ctx.save_for_backward(*tensors, a.lengths, a.resets, a.noise, *a.inputs, *kept)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        count, given, shown = ctx.sizes
        saved = ctx.saved_tensors
        tensors, (lengths, resets, noise) = saved[:count], saved[count : count + 3]
        inputs, outputs = saved[count + 3 : count + 3 + given], saved[count + 3 + given :]
        a = ctx.a._replace(tensors=list(tensors), lengths=lengths, resets=resets, inputs=list(inputs), noise=noise)
        wanted, grads = list(ctx.needs_input_grad[1:]), grads[:shown]
        if wanted_again(grads):
            q, p, *_ = _request(a)
            return None, *gradients_again(q, p, tensors, wanted, grads)
        found = iter(torch.ops.karussell.recurrence_backward(*a, list(outputs), list(grads), wanted))
        return None, *(next(found) if want else None for want in wanted)


def _vmap(info: Any, in_dims: Any, *arguments: Any) -> Any:  # noqa: ARG001 - there is no rule
    raise _refusal("no functorch transforms")


_LIBRARY.impl("recurrence", _forward, "CPU")
_LIBRARY.impl("recurrence_backward", _backward, "CPU")
_LIBRARY.impl("recurrence", _autograd, "Autograd")
torch.library.register_fake("karussell::recurrence", _fake_forward, lib=_LIBRARY)
torch.library.register_fake("karussell::recurrence_backward", _fake_backward, lib=_LIBRARY)
torch.library.register_vmap("karussell::recurrence", _vmap, lib=_LIBRARY)
for _name in ("recurrence", "recurrence_backward"):
    # bfloat16 that autocast brings in is widened: a state that is rounded at every step forgets
    torch.library.register_autocast(f"karussell::{_name}", "cpu", torch.float32, lib=_LIBRARY)
