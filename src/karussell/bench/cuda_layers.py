"""`karussell bench layers --device cuda`: twelve shapes of training and inference beside cuDNN and the compiled loop.

    cudnn-persistent   where torch gives cuDNN's persistent kernels: float16, one direction; few units
    cudnn-standard     where it does not: bfloat16 with more units, GRU, both directions, ragged rows
    float32            B * H up to 16,384, without and with TensorFloat-32
    variants           other cells beside our own LSTM: how much an equation costs
    eager              the same equations as a loop in torch, and as a loop over a compiled step

The gradient is that of inputs, weights and biases. FlashRNN's own chart stands beside the two shapes that it has.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from karussell.bench import cuda
from karussell.bench.cuda import Call
from karussell.bench.parity import ParityError
from karussell.bench.result import Result, Row
from karussell.cells import CELLS, Cell
from karussell.files import write_atomic
from karussell.ops import Engine, Weights, both, recurrence, shapes

# B16 T1024 H768 on an H100 SXM, milliseconds, forward and forward + backward: read off the bars of FlashRNN's chart
# (head_dim--lstm.svg of its repository at d73fb52); another device and another run, so it is no ratio
CHART = {
    "FlashRNN fused, bf16": (4.87, 13.61),
    "FlashRNN alternating, bf16": (10.79, 26.49),
    "Haste, fp32": (18.41, 43.86),
    "cuDNN, fp16": (2.01, 5.19),
}
_CELLS = {c.name: c for c in CELLS}
# relative to the largest number of each tensor, over the steps of a check: as the tests of the engine allow
STEPS = 8
TOLERANCE = {torch.float32: 2e-4, torch.bfloat16: 8 * STEPS * 2.0**-9, torch.float16: 8 * STEPS * 2.0**-12}


@dataclass(frozen=True)
class Shape:
    """One named case; as many inputs as units."""

    group: str
    cell_name: str
    steps: int
    batch: int
    hidden: int
    dtype: torch.dtype = torch.bfloat16
    training: bool = True
    ragged: bool = False
    directions: int = 1
    peers: tuple[str, ...] = ("cuDNN",)

    @property
    def cell(self) -> Cell:
        """The cell itself."""
        return _CELLS[self.cell_name]

    @property
    def name(self) -> str:
        """The case in words."""
        words = f"{self.cell_name} T{self.steps} B{self.batch} H{self.hidden} {cuda.SHORT[self.dtype]}"
        words += " both directions" if self.directions == 2 else ""
        return words + (" ragged" if self.ragged else "") + ("" if self.training else " forward")


SHAPES = (
    Shape("cudnn-persistent", "lstm", 512, 64, 512, torch.float16),
    Shape("cudnn-persistent", "lstm", 256, 64, 128),
    Shape("cudnn-standard", "lstm", 1024, 16, 768, peers=("cuDNN", "fp32", "TF32", "fp16", "chart")),
    Shape("cudnn-standard", "lstm", 1024, 16, 768, training=False, peers=("cuDNN", "fp32", "TF32", "fp16", "chart")),
    Shape("cudnn-standard", "gru", 512, 32, 512),
    Shape("cudnn-standard", "lstm", 512, 32, 320, directions=2),
    Shape("cudnn-standard", "lstm", 512, 64, 256, ragged=True),
    Shape("float32", "lstm", 256, 32, 128, torch.float32, peers=("cuDNN", "TF32")),
    Shape("float32", "lstm", 256, 32, 512, torch.float32, peers=("cuDNN", "TF32")),
    Shape("variants", "peephole_lstm", 256, 64, 256, peers=("our LSTM",)),
    Shape("variants", "cifg", 256, 64, 256, peers=("our LSTM",)),
    Shape("eager", "lstm", 128, 32, 256, torch.float32, peers=("loop", "compiled loop")),
)


class Problem:
    """Numbers for a shape: x, weights a direction, lengths."""

    def __init__(self, shape: Shape, on: torch.device, dtype: torch.dtype | None = None) -> None:
        self.shape, self.on, dtype = shape, on, dtype or shape.dtype
        generator = torch.Generator().manual_seed(1)

        def draw(*size: int, scale: float = 1.0) -> Tensor:
            drawn = (scale * torch.randn(size, generator=generator)).to(shape.dtype)
            return drawn.to(on, dtype).requires_grad_()

        hidden, need = shape.hidden, shapes(shape.cell, shape.hidden, shape.hidden)
        self.x = draw(shape.steps, shape.batch, hidden)
        self.weights = []
        for _ in range(shape.directions):
            units = {n: draw(hidden, scale=0.5) for n in shape.cell.units}
            r = tuple(draw(*size, scale=hidden**-0.5) for size in need.r)
            b_r = draw(need.b_r) if need.b_r else None
            self.weights.append(Weights(draw(*need.w, scale=hidden**-0.5), r, draw(need.b), b_r, units))
        self.lengths = None
        if shape.ragged:
            spread = torch.linspace(0.25, 1, shape.batch) * shape.steps
            self.lengths = spread.round().to(torch.int64).clamp(min=1).to(on)

    def leaves(self) -> list[Tensor]:
        """What has a gradient."""
        found = [self.x]
        for w in self.weights:
            found += [v for v in (w.w, w.b, w.b_r, *w.r, *w.units.values()) if v is not None]
        return found

    def forward(self, engine: Engine) -> Tensor:
        """The output of ours."""
        cell, w = self.shape.cell, self.weights
        if self.shape.directions == 2:
            return torch.cat([r.y for r in both(cell, self.x, w, lengths=self.lengths, engine=engine)], -1)
        return recurrence(cell, self.x, w[0], lengths=self.lengths, engine=engine).y


def job(forward: Callable[[], Tensor], leaves: Sequence[Tensor], training: bool) -> Call:
    """What is timed: forward, or forward and the gradients of the sum of squares halved."""
    if training:

        def train() -> object:
            y = forward()
            return torch.autograd.grad(y, leaves, y.detach())

        return train

    def infer() -> object:
        with torch.no_grad():
            return forward()

    return infer


def verify(shape: Shape, on: torch.device) -> None:
    """Output and gradients over a few steps against the float64 reference; ParityError names what differs."""
    small = replace(shape, steps=min(shape.steps, STEPS))
    p, q = Problem(small, on), Problem(small, on, torch.float64)
    with cuda.tf32(False):
        found = []
        for problem, engine in ((p, Engine.triton), (q, Engine.reference)):
            y = problem.forward(engine)
            upstream = torch.linspace(-1, 1, y.shape[-1], device=on).to(shape.dtype).to(y.dtype).expand_as(y)
            found.append([y, *torch.autograd.grad(y, problem.leaves(), upstream)])
    for k, (ours, truth) in enumerate(zip(*found, strict=True)):
        ours, truth = ours.detach(), truth.detach()
        error = float((ours.double() - truth).abs().max() / truth.abs().max().clamp(min=1.0))
        if not error <= TOLERANCE[shape.dtype]:
            raise ParityError(f"{shape.name}: number {k} of output and gradients is off by {error:.1e}")


def _vendor(shape: Shape, on: torch.device, dtype: torch.dtype) -> Call | None:
    """cuDNN's side, by torch's own module."""
    make = {"lstm": nn.LSTM, "gru": nn.GRU}.get(shape.cell_name)
    if make is None:
        return None
    module = make(shape.hidden, shape.hidden, bidirectional=shape.directions == 2).to(on, dtype)
    p = Problem(shape, on, dtype)
    leaves, x = [p.x, *module.parameters()], p.x

    def forward() -> Tensor:
        if p.lengths is None:
            return module(x)[0]
        return module(pack_padded_sequence(x, p.lengths.cpu(), enforce_sorted=False))[0].data

    return job(forward, leaves, shape.training)


def _compiled(shape: Shape, on: torch.device) -> Call:
    """The same equations, one compiled step, a loop in Python."""
    p = Problem(shape, on)
    w, hidden = p.weights[0], shape.hidden

    @torch.compile
    def step(z: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = (z + h @ w.r[0].T).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def forward() -> Tensor:
        z = torch.nn.functional.linear(p.x, w.w, w.b)
        h = c = p.x.new_zeros(shape.batch, hidden)
        outputs = []
        for now in z:
            h, c = step(now, h, c)
            outputs.append(h)
        return torch.stack(outputs)

    return job(forward, p.leaves(), shape.training)


def _peers(shape: Shape, on: torch.device) -> dict[str, Call]:
    found: dict[str, Call | None] = {}
    for peer in shape.peers:
        if peer == "cuDNN":
            found[f"cuDNN, {cuda.SHORT[shape.dtype]}"] = _vendor(shape, on, shape.dtype)
        elif peer in ("fp32", "TF32"):
            call = _vendor(shape, on, torch.float32)
            found[f"cuDNN, {peer}"] = None if call is None else cuda.with_tf32(call, peer == "TF32")
        elif peer == "fp16":
            found["cuDNN, fp16"] = _vendor(shape, on, torch.float16)
        elif peer == "our LSTM":
            found["our LSTM"] = _ours(replace(shape, cell_name="lstm"), on)
        elif peer == "loop":
            found["a loop in torch"] = _ours(shape, on, Engine.reference)
        elif peer == "compiled loop":
            found["a loop over a compiled step"] = _compiled(shape, on)
    return {name: call for name, call in found.items() if call is not None}


def _ours(shape: Shape, on: torch.device, engine: Engine = Engine.triton) -> Call:
    p = Problem(shape, on)
    return job(lambda: p.forward(engine), p.leaves(), shape.training)


def one(shape: Shape, on: torch.device) -> list[Row]:
    """The rows of a shape; those of the chart have no ratio."""
    with cuda.tf32(False):
        rows = cuda.measure(shape.group, shape.name, _ours(shape, on), _peers(shape, on), on, "triton")
    if "chart" in shape.peers and rows:
        for peer, times in CHART.items():
            printed = f"{peer}: {times[shape.training]} ms in FlashRNN's chart (H100)"
            rows.append(replace(rows[0], peer=printed, peer_ms=None, ratio=None, spread=None))
    return rows


def run_cuda_layers(
    json: Path | str | None = None,
    *,
    chosen: Sequence[Shape] = SHAPES,
    interpreted: bool = False,
    say: Callable[[str], None] = print,
) -> Result:
    """Parity of all shapes, then their times; written to `json` if given. InputError where there is no CUDA device.

    interpreted   on the CPU, where Triton interprets: for tests of the bench itself
    """
    result = cuda.run(chosen, verify, one, cuda.device(interpreted), say)
    if json is not None:
        write_atomic(json, result.to_json())
    return result
