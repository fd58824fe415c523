"""Many threads of Python, forks, long runs: the compiled engine among what real programs do around it."""

import gc
import multiprocessing
import os
import subprocess
import sys
import threading

import pytest
import torch

from karussell import cells, nn
from karussell.ops import recurrence
from user_cells import Case, tame

PEOPLE = [cells.LSTM, cells.GRU, cells.PeepholeLSTM, cells.FGR]
PEOPLE += [cells.RNN, cells.RecurrentHighway, cells.MinLSTM, cells.LSTM1997]


def trained(cell, number: int, threads: int) -> list[torch.Tensor]:
    """The weights of a layer after a few steps of training, from its own random numbers."""
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(number)
    layer = nn.Recurrent(cell, 6, 16, engine="cpp")
    with torch.no_grad():
        for value in layer.parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.2)
    optimiser = torch.optim.SGD(layer.parameters(), 0.05)
    lengths = torch.randint(1, 20, (26,), generator=generator)
    lengths[0] = 19
    for _ in range(8):
        x = torch.randn(19, 26, 6, generator=generator)
        y = layer(x, lengths=lengths)[0]
        optimiser.zero_grad()
        y.square().mean().backward()
        optimiser.step()
    return [v.detach().clone() for v in layer.parameters()]


@pytest.fixture
def as_before():
    """torch's number of threads is put back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_eight_at_once_train_as_if_alone(as_before, threads):
    alone = [trained(cell, k, threads) for k, cell in enumerate(PEOPLE)]
    found: dict[int, list[torch.Tensor]] = {}

    def work(k: int) -> None:
        found[k] = trained(PEOPLE[k], k, threads)

    people = [threading.Thread(target=work, args=(k,)) for k in range(len(PEOPLE))]
    for p in people:
        p.start()
    for p in people:
        p.join()
    for k, expected in enumerate(alone):
        assert all(torch.equal(a, b) for a, b in zip(found[k], expected, strict=True)), PEOPLE[k].name


def test_one_layer_in_many_threads(problem):
    """A program, a library and a layer are shared by all that call them."""
    p = tame(problem, cells.LSTM, Case(11, 7, 20), torch.float32)
    expected = recurrence(p.cell, p.x, p.weights, p.state, engine="cpp").y
    wrong = []

    def work() -> None:
        for _ in range(50):
            y = recurrence(p.cell, p.x, p.weights, p.state, engine="cpp").y
            if not torch.equal(y, expected):
                wrong.append(y)

    people = [threading.Thread(target=work) for _ in range(8)]
    for t in people:
        t.start()
    for t in people:
        t.join()
    assert not wrong


# a process of its own: what is tried is whether it hangs
FORK = """
import os, signal, sys, numpy, torch
from karussell import cells
from karussell.ops import Weights, recurrence, shapes

threads, before, grad = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "grad"
torch.set_num_threads(threads)

def run(grad):
    generator = torch.Generator().manual_seed(0)
    need = shapes(cells.MinLSTM, 8, 32)
    w = Weights(torch.randn(need.w, generator=generator), (), torch.randn(need.b, generator=generator))
    x = torch.randn(20, 64, 8, generator=generator).requires_grad_(grad)
    y = recurrence(cells.MinLSTM, x, w, engine="cpp").y
    if grad:
        y.sum().backward()
    return y.detach()

expected = run(grad) if before == "ours" else None
if before == "theirs":
    # torch's threads, and none of ours
    torch.ones(4_000_000).exp().sum()
child = os.fork()
if child == 0:
    # a child that hangs is killed, and its status says so
    signal.alarm(60)
    if grad:
        # torch's own kernels hang in a forked child unless they run on one thread
        torch.set_num_threads(1)
    y = run(grad)
    # one thread in the child, so the order of a sum may differ; compared without torch, whose threads hang there
    os._exit(0 if expected is None or numpy.abs(y.numpy() - expected.numpy()).max() < 1e-5 else 1)
status = os.waitpid(child, 0)[1]
if expected is not None:
    assert torch.equal(run(grad), expected)
sys.exit(status != 0)
"""


@pytest.mark.parametrize(
    ("threads", "before", "grad"),
    [(1, "ours", "grad"), (2, "ours", "values"), (2, "ours", "grad"), (2, "theirs", "values")],
    ids=["one_thread", "two_threads", "two_threads_training", "threads_of_torch_alone"],
)
def test_a_forked_child_computes_too(threads, before, grad):
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", FORK, str(threads), before, grad]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr


class Encoded(torch.utils.data.Dataset):
    """A data set whose items come from a recurrent encoder."""

    def __init__(self, p) -> None:
        self.p = p

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> torch.Tensor:
        return recurrence(self.p.cell, self.p.x + index, self.p.weights, self.p.state, engine="cpp").y.detach()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_workers_of_a_data_loader(problem):
    data = Encoded(tame(problem, cells.LSTM, Case(5, 30, 20), torch.float32))
    expected = torch.stack([data[k] for k in range(6)])
    loader = torch.utils.data.DataLoader(data, batch_size=2, num_workers=2, multiprocessing_context="fork")
    torch.testing.assert_close(torch.cat(list(loader)), expected, rtol=0, atol=1e-6)


def _first(p):
    torch.set_num_threads(1)
    return recurrence(p.cell, p.x.detach(), p.weights, p.state, engine="cpp").y.detach().numpy()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_pool_of_forked_processes(problem):
    p = tame(problem, cells.MinLSTM, Case(5, 3, 20), torch.float32)
    expected = _first(p)
    # cells do not pickle (their steps are functions), so the children inherit the problem
    inherited = _Inherited(p)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(inherited, range(4))
    assert all((v == expected).all() for v in found)


class _Inherited:
    kept = None

    def __init__(self, p) -> None:
        type(self).kept = p

    def __call__(self, _):
        return _first(type(self).kept)


def resident() -> float:
    """Megabytes of memory in use."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from /proc")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_hundred_thousand_steps_leak_nothing(problem, as_before, threads):
    torch.set_num_threads(threads)
    p = tame(problem, cells.GRUResetBefore, Case(50, 26, 20), torch.float32)

    def work(times: int) -> None:
        for _ in range(times):
            result = recurrence(p.cell, p.x, p.weights, p.state, lengths=lengths, engine="cpp")
            torch.autograd.grad(result.y.sum(), p.leaves())

    lengths = Case(50, 26, 20, ragged=True).lengths()
    work(200)
    gc.collect()
    before = resident()
    work(1000)
    with torch.no_grad():
        state = p.state
        for t in range(20_000):
            state = recurrence(p.cell, p.x[t % 50 : t % 50 + 1], p.weights, state, engine="cpp").state
    work(1000 - 400)
    gc.collect()
    assert resident() - before < 4
    assert torch.isfinite(state[0]).all()


def test_a_graph_that_is_dropped_gives_its_memory_back(problem):
    p = tame(problem, cells.LSTM, Case(400, 64, 64), torch.float32)
    before = None
    for k in range(12):
        y = recurrence(p.cell, p.x, p.weights, p.state, engine="cpp").y
        del y
        if k == 3:
            gc.collect()
            before = resident()
    # what one graph holds, 40 MB, several times over
    assert resident() - before < 20


COUNT = """
import os, sys, torch
torch.set_num_threads(int(sys.argv[1]))
from karussell import cells
from karussell.ops import Weights, recurrence, shapes

def tasks():
    return len(os.listdir("/proc/self/task"))

need = shapes(cells.MinLSTM, 8, 32)
w = Weights(torch.randn(need.w), (), torch.randn(need.b))
x = torch.randn(20, 640, 8)
torch.ones(8_000_000).exp()
before = tasks()
for _ in range(20):
    recurrence(cells.MinLSTM, x, w, engine="cpp")
print(tasks() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="threads are counted in /proc")
@pytest.mark.parametrize("threads", [1, 2])
def test_no_threads_beside_torchs(threads):
    """Both use one OpenMP runtime, so the threads that torch has made are the ones that work here."""
    command = [sys.executable, "-c", COUNT, str(threads)]
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=200)
    assert int(run.stdout) == 0
