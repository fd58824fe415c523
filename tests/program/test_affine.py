"""What the prover takes for affine is, and what is not it refuses, with the reason."""

import pytest
import torch

from karussell import cells
from karussell.cells import Cell, Stage
from karussell.program import program
from karussell.program.affine import NotAffineError, affine
from karussell.program.interpret import interpret
from user_cells import EVERY, named

KNOWN = (cells.MinLSTM, cells.MinGRU, cells.QRNN, cells.SRU)


@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_of_the_cells_there_are(cell):
    if cell in KNOWN:
        assert len(affine(program(cell)).lines) == 1
    else:
        with pytest.raises(NotAffineError, match=f"{cell.name}.*(gates see the past|goes through)"):
            affine(program(cell))


def one(step, **rest):
    return Cell("own", ("h",), ("a", "z"), step, sees=(), **rest)


def two(step):
    return Cell("own", ("h", "c"), ("a", "z"), step, sees=())


AFFINE = {
    "difference": one(lambda a, z, h: a - h * z),
    "half": one(lambda a, z, h: -(h - a) / (1 + z.abs())),
    "either": one(lambda a, z, h: torch.where(z > 0, h, a)),
    "both": one(lambda a, z, h: torch.where(z > 0, 2 * h, h + a)),
    "lerp": one(lambda a, z, h: torch.lerp(h, a, torch.sigmoid(z))),
    "chain": two(lambda a, z, h, c: (0.5 * h + torch.tanh(c) * a, c * z)),
    "squared": two(lambda a, z, h, c: (0.5 * h + c * c, c * z + a)),
    "twice_the_state": one(lambda a, z, h: h * z + (h + a) * 0.5),
    "forgets": one(lambda a, z, h: a + z + 0 * h),
}


@pytest.mark.parametrize("kind", AFFINE)
def test_the_line_is_the_step(kind):
    """The new state is a * old + b with a and b that the old state is no part of, for any numbers."""
    p = program(AFFINE[kind])
    found = affine(p)
    generator = torch.Generator().manual_seed(0)
    names = ("a", "z", *(f"v{k}" for k in range(len(p.states))))
    values = {n: torch.randn(50, generator=generator, dtype=torch.float64) for n in names}
    new = interpret(found.nodes, found.new, values)
    for line in found.lines:
        a, b = interpret(found.nodes, (line.a, line.b), values)
        torch.testing.assert_close(a * values[f"v{line.state}"] + b, new[line.state])
        moved = values | {f"v{line.state}": values[f"v{line.state}"] + 1}
        for part, again in zip((a, b), interpret(found.nodes, (line.a, line.b), moved), strict=True):
            assert torch.equal(part, again)


def test_stages_are_joined():
    p = Cell(
        "own",
        ("h",),
        stages=(
            Stage(("a",), lambda a, h: torch.sigmoid(a), writes=("m",), sees=(), takes=("a", "h")),
            Stage(("z",), lambda z, m, h: m * h + z, sees=()),
        ),
    )
    assert [line.state for line in affine(program(p)).lines] == [0]


REFUSED = {
    "product": (one(lambda a, z, h: a * h * h + z), "goes through 'mul'"),
    "inverse": (one(lambda a, z, h: a / (1 + h) + z), "goes through 'div'"),
    "squash": (one(lambda a, z, h: torch.tanh(h) * z + a), "goes through 'tanh'"),
    "choice": (one(lambda a, z, h: torch.where(h > 0, a, z)), "goes through 'gt'"),
    "circle": (two(lambda a, z, h, c: (h * a + c, c * z + h)), "depends on the state 'c' before the step"),
    "gate": (two(lambda a, z, h, c: (h * torch.sigmoid(c), c * torch.sigmoid(h) + a + z)), "depends on the state"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_affine_is_refused_with_the_reason(kind):
    cell, words = REFUSED[kind]
    with pytest.raises(NotAffineError, match=f"own.*{words}"):
        affine(program(cell))
