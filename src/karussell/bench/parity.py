"""Nothing is timed that does not compute the right thing: every family of cases against the float64 reference."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from karussell.bench.problem import Problem, Run, call_layer, with_engine
from karussell.errors import KarussellError
from karussell.ops import Engine, watch

# relative to the largest value of each tensor: float32 against float64 over a few steps and a batch's worth of sums
TOLERANCE = 2e-4
STEPS = 4


class ParityError(KarussellError):
    """A result is not the reference's, so its time is not worth knowing."""


def family(problem: Problem) -> Problem:
    """What cases of the same code path have in common: cell, rows, units and raggedness, over a few steps."""
    return replace(problem.shorter(STEPS), training=True)


def verify(problem: Problem, engine: Engine, run: Run = call_layer) -> None:
    """Compare output, final state and all gradients with the float64 reference; ParityError names what differs."""
    layer = problem.layer(engine)
    oracle = with_engine(layer, Engine.reference).double()
    ours = outcome(problem, layer, run, torch.float32, engine)
    theirs = outcome(problem, oracle, call_layer, torch.float64, Engine.reference)
    for name, value in ours.items():
        compare(f"engine '{engine}', {problem.cell.name}, {problem.name}", name, value, theirs[name])


def outcome(
    problem: Problem, layer: torch.nn.Module, run: Run, dtype: torch.dtype, engine: Engine
) -> dict[str, Tensor]:
    """The output, the final states and the gradients through all of them, by name."""
    x = problem.x().to(dtype).requires_grad_()
    with watch() as seen:
        y, state = run(layer, x, problem.lengths())
    check_engine(engine, seen, problem)
    states = (state,) if isinstance(state, Tensor) else tuple(state)
    values = {"output": y} | {f"final state {k}": v for k, v in enumerate(states)}
    generator = torch.Generator().manual_seed(4)
    upstream = [torch.randn(v.shape, generator=generator, dtype=torch.float64).to(dtype) for v in values.values()]
    names, leaves = zip(*(("x", x), *layer.named_parameters()), strict=True)
    found = torch.autograd.grad(list(values.values()), leaves, upstream, allow_unused=True)
    grads = {f"gradient of {n}": g for n, g in zip(names, found, strict=True) if g is not None}
    return {**values, **grads}


def compare(where: str, what: str, value: Tensor, truth: Tensor) -> None:
    """ParityError unless the value is the truth up to the tolerance; a NaN never is."""
    scale = max(float(truth.detach().abs().max()), 1e-6) if truth.numel() else 1.0
    error = float((value.detach().double() - truth.detach().double()).abs().max()) / scale if truth.numel() else 0.0
    if value.shape != truth.shape or not error <= TOLERANCE:
        raise ParityError(
            f"{where}: the {what} is not the reference's (relative error {error:.1e}, allowed {TOLERANCE:.0e}); "
            "nothing is timed that computes something else. Run: pytest tests/ops"
        )


def check_engine(asked: Engine, seen: Sequence[Engine], problem: Problem) -> None:
    """ParityError where another engine ran than the one forced, or none was seen to run."""
    if not seen or (asked is not Engine.auto and set(seen) != {asked}):
        ran = ", ".join(sorted(set(seen))) or "none"
        raise ParityError(
            f"engine '{asked}' was forced for {problem.cell.name}, {problem.name}, but what ran is: {ran}"
        )
