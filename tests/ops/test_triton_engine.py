"""The Triton engine from outside: both directions at once, what it refuses, what is there without Triton."""

import subprocess
import sys

import pytest
import torch
from triton_cases import DEVICE, SCHEDULES, gradients, moved, needed

from karussell import cells
from karussell.errors import EngineError
from karussell.native import triton as available
from karussell.ops import Engine, Noise, Options, both, recurrence, watch
from karussell.ops.recurrence.triton import schedule
from karussell.ops.recurrence.triton.module import source
from karussell.ops.recurrence.triton.plan import Plan
from karussell.ops.recurrence.triton.schedule import Schedule, choose, forced
from karussell.program import program
from random_problems import make_problem
from user_cells import EVERY, Case, doubled, named, off, tame


@needed
@pytest.mark.parametrize("name", ["resident", "stepwise", "spread"])
def test_both_directions_in_one_launch_are_the_two_directions(name):
    case, noise = Case(3, 3, 6, ragged=True), (Noise(1, 2, 3), Noise(1, 2, 4))
    options = Options(True, {"h": 0.2}, 0.3)
    pair = [tame(make_problem, cells.LSTM, case, torch.float32, seed) for seed in (0, 1)]
    found = {}
    for engine in (Engine.triton, Engine.reference):
        p, q = (moved(one) if engine is Engine.triton else doubled(one) for one in pair)
        lengths = case.lengths().to(p.x.device)
        with forced(SCHEDULES[name]), watch() as ran:
            results = both(
                p.cell,
                p.x,
                (p.weights, q.weights),
                (p.state, q.state),
                lengths=lengths,
                options=options,
                noise=noise,
                every_state=True,
                engine=engine,
            )
        # the launch is one
        assert ran == [engine] * (1 if engine is Engine.triton else 2)
        joined = results[0]._replace(y=torch.cat([r.y for r in results], -1))
        leaves = [*p.leaves(), *q.leaves()[1:]]
        found[engine] = [*gradients(joined, leaves, "y final states").values(), *results[1].state]
    for a, b in zip(*found.values(), strict=True):
        assert off(a.cpu(), b) <= 1e-5


@needed
def test_layers_of_both_directions_make_one_launch_a_layer():
    from karussell import nn

    lengths = torch.tensor([3, 2]).to(DEVICE)
    for make in (
        lambda engine: nn.LSTM(3, 4, 2, bidirectional=True, engine=engine),
        lambda engine: nn.Recurrent(cells.GRU, 3, 4, 2, bidirectional=True, recurrent_dropout=0.3, engine=engine),
    ):
        found = []
        for engine in (Engine.triton, Engine.reference):
            torch.manual_seed(3)
            layer = make(engine).to(DEVICE)
            with watch() as ran:
                y = layer(torch.linspace(-1, 1, 18, device=DEVICE).view(3, 2, 3), lengths=lengths)[0]
            assert len(ran) == (2 if engine is Engine.triton else 4)
            found.append([y, *torch.autograd.grad(y.square().sum(), list(layer.parameters()))])
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@needed
def test_second_derivatives_are_those_of_the_reference():
    p = moved(tame(make_problem, cells.GRU, Case(2, 2, 3), torch.float32))
    q = doubled(p)
    found = []
    for problem, engine in ((p, "triton"), (q, "reference")):
        y = recurrence(problem.cell, problem.x, problem.weights, problem.state, engine=engine).y
        first = torch.autograd.grad(y.square().sum(), problem.leaves(), create_graph=True)
        found.append(torch.autograd.grad(sum(g.square().sum() for g in first), problem.leaves()))
    for a, b in zip(*found, strict=True):
        assert off(a, b) <= 1e-5


@needed
def test_a_retained_graph_gives_the_same_gradients_to_the_bit():
    p = moved(tame(make_problem, cells.LSTM, Case(2, 3, 5), torch.float32))
    y = recurrence(p.cell, p.x, p.weights, p.state, engine="triton").y
    upstream = torch.ones_like(y)
    once, twice = (torch.autograd.grad(y, p.leaves(), upstream, retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, twice, strict=True))


@needed
@pytest.mark.skipif(DEVICE.type == "cuda", reason="there real graphs are played")
def test_a_graph_played_again_has_the_new_numbers(monkeypatch):
    """Without a device a recording is the work itself, in the graph's memory."""
    from triton_cases import compare

    from karussell.ops.recurrence.triton import graph

    recorded = []

    def capture(work, values):
        recorded.append(values)
        return lambda: work(dict(values))

    monkeypatch.setattr(graph, "usable", lambda tensors: True)
    monkeypatch.setattr(graph, "capture", capture)
    for seed in (1, 2):
        compare(cells.GRUResetBefore, Case(3, 3, 5, ragged=True), "stepwise", resets=True, seed=seed)
    assert len(recorded) == 2
    graph._kept.clear()


@needed
def test_every_operation_of_a_step_is_torchs():
    """One cell whose step uses the rare functions, forwards and backwards."""
    from triton_cases import compare

    from karussell.cells import Cell

    def first(a, h):
        small = torch.tanh(a) * 0.9
        rare = torch.atan(a) + torch.asin(small) + torch.acos(small) + torch.sinh(small) - torch.cosh(small)
        return 0.1 * rare + 0.3 * torch.erf(h) + 0.1 * torch.expm1(small) + 0.1 * torch.log1p(small.square())

    def second(a, h):
        power = torch.pow(1.5 + torch.tanh(a), 2.5) + torch.sqrt(1 + h * h) + torch.rsqrt(2 + h) + torch.log(3 + h)
        steps = torch.round(a) + torch.trunc(3 * a) + torch.floor(a) - torch.ceil(h) + torch.sign(a)
        both = torch.remainder(a, 0.7) + torch.fmod(a, 0.7) + torch.maximum(a, h) - torch.minimum(a, h) + torch.abs(a)
        chosen = torch.where((a > 0) & ~(h < 0.1), torch.sin(a), torch.cos(h))
        return 0.1 * power + 0.01 * steps + 0.1 * both + 0.1 * chosen + 0.1 * torch.relu(a) + torch.reciprocal(4 + h)

    for step in (first, second):
        compare(Cell("rare", ("h",), ("a",), step), Case(2, 3, 5), "stepwise")


@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_the_text_is_the_same_every_time_and_python(cell):
    for kind in ("resident", "spread", "stepwise"):
        for back in (False, True):
            plan = Plan(kind, 0, ragged=True, resets=True, training=True, zone=(0,), keep=True, wide=(False,) * 2)
            text = source(program(cell), plan, back)
            assert text == source(program(cell), plan, back)
            compile(text, "printed", "exec")


def test_the_table_gives_every_size_a_schedule():
    lstm, cpu = program(cells.LSTM), torch.device("cpu")
    kinds = [choose(lstm, hidden, 64, 1, torch.bfloat16, cpu, normed=False).kind for hidden in (16, 64, 128, 512, 4096)]
    assert kinds == ["resident", "resident", "resident", "stepwise", "stepwise"]
    normed = choose(lstm, 300, 64, 1, torch.float32, cpu, normed=True)
    # layer norm needs all units of a row in one program
    assert (normed.kind, normed.units) == ("stepwise", 512)
    for row in schedule.table():
        assert set(row) == {"bytes", "units", "weights", "schedule"}
        assert Schedule(**row["schedule"]).rows % 16 == 0


@needed
def test_what_it_cannot_run_is_refused_in_a_sentence():
    p = moved(tame(make_problem, cells.LSTM, Case(2, 2, 4), torch.float64))
    with pytest.raises(EngineError, match=r"float32, bfloat16 and float16, not in torch\.float64"):
        recurrence(p.cell, p.x, p.weights, engine="triton")
    p = moved(tame(make_problem, cells.LSTM, Case(2, 2, 4), torch.float32))
    with pytest.raises(EngineError, match="computes nothing again yet"):
        recurrence(p.cell, p.x, p.weights, engine="triton", recompute="gates")
    if DEVICE.type == "cpu":
        assert "TRITON_INTERPRET is set" in (available.why_not(torch.device("cuda")) or "")
        # tensors of the CPU are not interpreted unless that is asked for
        q = tame(make_problem, cells.LSTM, Case(2, 2, 4), torch.float32)
        assert recurrence(q.cell, q.x, q.weights).engine is not Engine.triton


WITHOUT = """
import sys
sys.modules["triton"] = None
import torch
from importlib import util
found = util.find_spec
util.find_spec = lambda name, *rest: None if name.split(".")[0] == "triton" else found(name, *rest)
sys.modules.pop("triton")
import karussell
from karussell import cells, ops
from karussell.native import triton as available
assert not available.installed(), "installed"
weights = ops.Weights(torch.zeros(8, 3), (torch.zeros(8, 2),), torch.zeros(8))
try:
    ops.recurrence(cells.LSTM, torch.zeros(2, 1, 3), weights, engine="triton")
except Exception as error:
    print(type(error).__name__, error)
print(available.describe())
"""


def test_import_works_without_triton_and_says_so():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert "EngineError engine 'triton' was forced, but the package 'triton' is not installed" in done.stdout
    assert "not installed: pip install 'karussell[gpu]'" in done.stdout
    assert "Triton" not in done.stderr


def test_import_does_not_import_triton():
    code = "import sys, karussell, karussell.ops; assert 'triton' not in sys.modules, 'imported'"
    subprocess.run([sys.executable, "-c", code], check=True)
