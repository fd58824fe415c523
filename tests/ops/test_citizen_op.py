"""The operator that compilers, modes and graphs see of a recurrence: torch's own checks of it, and what it refuses."""

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from karussell import cells, nn
from karussell.errors import EngineError
from karussell.ops import Noise, Options, recurrence, watch
from karussell.ops.recurrence.op import program_of
from karussell.program import program
from user_cells import Case, Gap, off, tame

OP = torch.ops.karussell.recurrence.default
BACKWARD = torch.ops.karussell.recurrence_backward.default
LENGTHS = torch.tensor([3, 1, 2])


class Recorder(TorchDispatchMode):
    """Keeps the arguments of the operators that run inside."""

    def __init__(self):
        super().__init__()
        self.calls = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (OP, BACKWARD):
            self.calls[function] = args
        return function(*args, **(kwargs or {}))


def run(p, **arguments):
    return recurrence(p.cell, p.x, p.weights, p.state, inputs=p.inputs, engine="cpp", **arguments)


def outcome(p, mode=None, **arguments):
    """Values, and gradients through all of them."""
    result = run(p, every_state=True, **arguments)
    values = [result.y, *result.state, *result.states[1:]]
    generator = torch.Generator().manual_seed(3)
    upstream = [torch.randn(v.shape, generator=generator, dtype=v.dtype) for v in values]
    return [*values, *torch.autograd.grad(values, p.leaves(), upstream)]


def recorded(p, **arguments):
    with Recorder() as recorder:
        found = outcome(p, **arguments)
    return recorder.calls, found


EVERY = (cells.LSTM, cells.GRU, cells.GRUResetBefore, cells.PeepholeLSTM, cells.LSTM1997, cells.MinGRU, Gap)


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("cell", EVERY, ids=lambda cell: cell.name)
def test_the_operator_computes_what_a_plain_call_does(problem, cell, reverse):
    p = tame(problem, cell, Case(3, 3, 4), torch.float64)
    calls, through = recorded(p, lengths=LENGTHS, reverse=reverse)
    assert set(calls) == {OP, BACKWARD}
    for a, b in zip(through, outcome(p, lengths=LENGTHS, reverse=reverse), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("cell", "keep"), [(cells.LSTM, 1), (cells.GRU, 0), (Gap, 0)], ids=lambda v: str(getattr(v, "name", v))
)
def test_torch_finds_nothing_wrong_with_it(problem, cell, keep):
    p = tame(problem, cell, Case(3, 3, 4), torch.float64)
    # of what is kept, numbers that no pass reads are never written, and torch compares all outputs: an LSTM's rows,
    # all of one length, have none of these
    calls, _ = recorded(p, lengths=None if keep else LENGTHS)
    arguments = list(calls[OP])
    arguments[1] = [None if t is None else t.detach().requires_grad_(t.requires_grad) for t in arguments[1]]
    arguments[6] = [4, 0, 1, keep, 0, 0]
    torch.library.opcheck(OP, arguments)
    torch.library.opcheck(BACKWARD, calls[BACKWARD], test_utils=("test_schema", "test_faketensor"))


def test_options_go_through_it(problem):
    p = problem(cells.LSTM, 5, 3, 2, 4, norm=True)
    arguments = {
        "options": Options(training=True, zoneout={"c": 0.2, "h": 0.1}, dropout=0.2, clip={"c": 0.9}),
        "noise": Noise(2**63 + 5, 7, 3),
        "resets": torch.rand(5, 3) < 0.3,
        "start": tuple(torch.randn(3, 4, dtype=torch.float64) for _ in range(2)),
        "lengths": torch.tensor([5, 1, 4]),
    }
    calls, through = recorded(p, **arguments)
    for a, b in zip(through, outcome(p, **arguments), strict=True):
        assert torch.equal(a, b)
    torch.library.opcheck(OP, calls[OP], test_utils=("test_schema", "test_autograd_registration", "test_faketensor"))
    torch.library.opcheck(BACKWARD, calls[BACKWARD], test_utils=("test_schema", "test_faketensor"))


@pytest.mark.parametrize("engine", ["reference", "scan", "cpp"])
def test_no_engine_rounds_under_autocast(problem, engine):
    p = tame(problem, cells.MinLSTM, Case(6, 3, 4), torch.float32)

    def values():
        result = recurrence(p.cell, p.x, p.weights, p.state, engine=engine)
        return [result.y, *result.state, *torch.autograd.grad(result.y.sum(), p.leaves())[:1]]

    expected = values()
    with torch.autocast("cpu", torch.bfloat16):
        found = values()
    assert all(torch.equal(a, b) for a, b in zip(found[:2], expected[:2], strict=True))
    if engine == "cpp":  # what plain torch recorded is differentiated by torch, under the rules of where that happens
        assert torch.equal(found[2], expected[2])


def test_without_gradients_nothing_is_kept(problem):
    p = tame(problem, cells.LSTM, Case(3, 3, 4), torch.float64)
    with Recorder() as recorder, torch.no_grad():
        y = run(p).y
    assert not y.requires_grad
    assert len(OP(*recorder.calls[OP])) == 3


def test_gradients_of_what_was_not_kept_are_computed_anew(problem):
    # as an exported graph has it, which is mostly run without gradients
    p = tame(problem, cells.PeepholeLSTM, Case(3, 3, 4), torch.float64)
    arguments = list(recorded(p)[0][OP])
    leaves = [t for t in arguments[1] if t is not None]
    found = []
    for keep in (1, 0):
        arguments[6] = [4, 0, 0, keep, 0, 0]
        outputs = OP(*arguments)[:3]
        found.append(torch.autograd.grad(outputs, leaves, [v.detach().cos() for v in outputs]))
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


def test_second_derivatives_are_the_references(problem):
    p = tame(problem, cells.GRU, Case(3, 2, 3), torch.float64)
    arguments = recorded(p)[0][OP]
    leaves = p.leaves()

    def second(outputs, leaves):
        first = torch.autograd.grad(sum(v.square().sum() for v in outputs), leaves, create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), leaves)

    with watch() as ran:
        found = second(OP(*arguments)[:2], leaves)
    assert ran == ["cpp", "reference"]
    result = run(p)
    for a, b in zip(found, second([result.y, *result.state], leaves), strict=True):
        assert off(a, b) < 1e-13


def test_what_it_cannot_do_it_refuses(problem):
    p = tame(problem, Gap, Case(3, 3, 4), torch.float64)
    arguments = list(recorded(p)[0][OP])
    x, *rest = arguments[1]

    def of(x):
        return OP(arguments[0], [x, *rest], *arguments[2:])[0]

    words = r"compiled engine in this graph has no .* Call the layer itself, or trace it with engine='reference'"
    with pytest.raises(EngineError, match=words):
        torch.func.jvp(of, (x,), (torch.ones_like(x),))
    with pytest.raises(EngineError, match=words):
        torch.func.vmap(of)(torch.stack([x, x]))
    with pytest.raises(EngineError, match=words):
        torch.func.grad(lambda x: of(x).sum())(x)
    with torch.autograd.forward_ad.dual_level():
        assert of(x) is not None
        with pytest.raises(EngineError, match=words):
            of(torch.autograd.forward_ad.make_dual(x.detach(), torch.ones_like(x)))
    arguments[4] = [v.clone().requires_grad_() for v in arguments[4]]
    with pytest.raises(EngineError, match="no gradient of per-step inputs"):
        OP(*arguments)


def test_what_would_read_beyond_its_memory_is_refused(problem):
    p = tame(problem, Gap, Case(3, 3, 4), torch.float64)
    good = list(recorded(p, lengths=LENGTHS)[0][OP])

    def changed(place, value):
        return [value if k == place else v for k, v in enumerate(good)]

    def tensor(k, value):
        return changed(1, [value if j == k else t for j, t in enumerate(good[1])])

    with pytest.raises(ValueError, match=r"tensor 1 is \[3, 3\] .* needs \[8, 3\]"):
        OP(*tensor(1, good[1][1][:3]))
    with pytest.raises(ValueError, match=r"tensor 3 is .*float32"):
        OP(*tensor(3, good[1][3].float()))
    with pytest.raises(ValueError, match="lengths run from 1 to 9, but x has 3 steps"):
        OP(*changed(2, torch.tensor([3, 1, 9])))
    with pytest.raises(ValueError, match=r"lengths is \[2\]"):
        OP(*changed(2, torch.tensor([3, 1])))
    with pytest.raises(ValueError, match="input gap is"):
        OP(*changed(4, [good[4][0][:2]]))
    with pytest.raises(EngineError, match="a program that this version does not read"):
        OP(*changed(0, '{"name": "x"}'))


def test_autocast_computes_in_single_precision(problem):
    p = tame(problem, cells.LSTM, Case(3, 3, 4), torch.float32)
    arguments = list(recorded(p)[0][OP])
    arguments[1] = [None if t is None else t.detach().bfloat16() for t in arguments[1]]
    with pytest.raises(ValueError, match="it must be float32 or float64"):
        OP(*arguments)
    with torch.autocast("cpu", torch.bfloat16):
        y = OP(*arguments)[0]
        assert y.dtype == torch.float32
        x = p.x.detach().requires_grad_()
        # products of a backward pass inside the region stay in single precision too
        inside = torch.autograd.grad(run(p._replace(x=x)).y.sum(), [x, p.weights.w])
    outside = torch.autograd.grad(run(p._replace(x=x)).y.sum(), [x, p.weights.w])
    for a, b in zip(inside, outside, strict=True):
        assert torch.equal(a, b)
    arguments[1] = [None if t is None else t.float() for t in arguments[1]]
    assert torch.equal(OP(*arguments)[0], y)


def test_an_empty_batch(problem):
    p = tame(problem, cells.GRU, Case(3, 3, 4), torch.float64)
    arguments = list(recorded(p)[0][OP])
    tensors = list(arguments[1])
    tensors[0] = tensors[0].detach()[:, :0].requires_grad_()
    tensors = [t.detach()[:0].requires_grad_() if t is not None and t.shape == (3, 4) else t for t in tensors]
    y, h, *_ = OP(arguments[0], tensors, *arguments[2:])
    assert (y.shape, h.shape) == ((3, 0, 4), (0, 4))
    grads = torch.autograd.grad(y.sum() + h.sum(), [t for t in tensors if t is not None])
    assert all((g == 0).all() for g in grads)


def test_fake_tensors_get_shapes_without_arithmetic():
    layer = nn.Recurrent(cells.LSTM, 5, 8, 2, bidirectional=True, engine="cpp")
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, watch() as ran:
        x = mode.from_tensor(torch.zeros(7, 3, 5))
        y, state = layer(x)
        y.sum().backward()
    assert (tuple(y.shape), tuple(state.c.shape)) == ((7, 3, 16), (4, 3, 8))
    assert not ran


def test_one_program_is_read_once():
    p = program(cells.LSTM)
    assert program_of(p.json) is program_of(p.json[:5] + p.json[5:])
    assert program_of(p.json).digest == p.digest
