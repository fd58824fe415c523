"""One step of a plain LSTM, state in hand: ours, torch's layer and cell, ONNX Runtime, and the product alone."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

from karussell.bench.onnx_node import lstm_node
from karussell.bench.parity import check_engine, compare
from karussell.bench.peers import Peer, Side, installed
from karussell.bench.problem import Problem, Run, call_layer, with_engine
from karussell.ops import Engine, watch


def ours(problem: Problem, layer: Module, run: Run) -> Side:
    """A step of ours: the layer's stepper if it has one, else the layer on a sequence of one."""
    x = problem.x()
    if hasattr(layer, "stepper"):
        stepper = layer.stepper()  # type: ignore[operator]
        return Side(partial(stepper, x[0]), None)

    def step() -> Tensor:
        with torch.inference_mode():
            return run(layer, x, None)[0]

    return Side(step, step)


def verify(problem: Problem, engine: Engine, run: Run) -> None:
    """Compare one step with the float64 reference, from a zero state."""
    layer = problem.layer(engine)
    oracle = with_engine(layer, Engine.reference).double()
    with torch.no_grad():
        truth = call_layer(oracle, problem.x().double(), None)[0]
    with watch() as seen:
        value = ours(problem, layer, run).call()
    if seen:
        check_engine(engine, seen, problem)
    y = value if isinstance(value, Tensor) else value[0]  # type: ignore[index]
    compare(f"one step, {problem.cell.name}, {problem.name}", "output", y.reshape(truth.shape), truth)


def torch_layer(problem: Problem, layer: Module) -> Side:
    """A one-step call of torch.nn.LSTM under inference mode, state in hand."""
    theirs = torch.nn.LSTM(problem.hidden, problem.hidden)
    theirs.load_state_dict(layer.state_dict())
    x, state = problem.x(), _zeros(problem, 2, 3)

    def step() -> Tensor:
        with torch.inference_mode():
            return theirs(x, state)[0]

    return Side(step, step)


def torch_cell(problem: Problem, layer: Module) -> Side:
    """A call of torch.nn.LSTMCell under inference mode."""
    theirs = torch.nn.LSTMCell(problem.hidden, problem.hidden)
    theirs.load_state_dict({n.removesuffix("_l0"): v for n, v in layer.state_dict().items()})
    x, state = problem.x()[0], _zeros(problem, 2, 2)

    def step() -> Tensor:
        with torch.inference_mode():
            return theirs(x, state)[0]

    return Side(step, lambda: step()[None])


def product(problem: Problem, layer: Module) -> Side:
    """The step's matrix-vector product alone: all gates of W x and R h in one."""
    weight = torch.cat([layer.weight_ih_l0, layer.weight_hh_l0], 1).detach()  # type: ignore[list-item]
    vector = torch.randn(2 * problem.hidden, generator=torch.Generator().manual_seed(5))
    out = torch.zeros(weight.shape[0])

    def step() -> Tensor:
        with torch.inference_mode():
            return torch.mv(weight, vector, out=out)

    return Side(step, None)


def onnx(problem: Problem, layer: Module) -> Side | None:
    """ONNX Runtime with a bare LSTM node, called with numpy arrays."""
    session = _session(problem, layer)
    if session is None:
        return None
    h, c = (v.numpy() for v in _zeros(problem, 2, 3))
    given = {"x": problem.x().numpy(), "h": h, "c": c}
    step: Callable[[], list[np.ndarray]] = partial(session.run, None, given)  # type: ignore[attr-defined]
    return Side(step, lambda: torch.from_numpy(step()[0]))


def onnx_bound(problem: Problem, layer: Module) -> Side | None:
    """ONNX Runtime with inputs and outputs bound to memory beforehand."""
    session = _session(problem, layer)
    if session is None:
        return None
    runtime = installed("onnxruntime")
    assert runtime is not None
    binding = session.io_binding()  # type: ignore[attr-defined]
    state = [v.numpy() for v in _zeros(problem, 4, 3)]
    for name, value in zip(("x", "h", "c"), (problem.x().numpy(), *state[:2]), strict=True):
        binding.bind_ortvalue_input(name, runtime.OrtValue.ortvalue_from_numpy(value))
    outputs = [runtime.OrtValue.ortvalue_from_numpy(v) for v in state[2:]]
    for name, value in zip(("h_n", "c_n"), outputs, strict=True):
        binding.bind_ortvalue_output(name, value)
    step: Callable[[], None] = partial(session.run_with_iobinding, binding)  # type: ignore[attr-defined]

    def output() -> Tensor:
        step()
        return torch.from_numpy(outputs[0].numpy())

    return Side(step, output)


def _session(problem: Problem, layer: Module) -> object | None:
    runtime = installed("onnxruntime")
    if runtime is None:
        return None
    w, r, b, b_r = (layer.get_parameter(f"{n}_l0") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    model = lstm_node(w, r, b, b_r, 1, problem.batch)
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _zeros(problem: Problem, count: int, dimensions: int) -> tuple[Tensor, ...]:
    shape = (1,) * (dimensions - 2) + (problem.batch, problem.hidden)
    return tuple(torch.zeros(shape) for _ in range(count))


PEERS = (
    Peer("torch.nn.LSTM, one step", torch_layer),
    Peer("torch.nn.LSTMCell", torch_cell),
    Peer("onnxruntime", onnx),
    Peer("onnxruntime, bound", onnx_bound),
)
PRODUCT = Peer("matrix-vector product", product, group="step-product")
"""In a group of its own: no step can be faster than its product by much, and a mean with the peers says nothing."""
