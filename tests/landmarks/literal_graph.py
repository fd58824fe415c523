"""The literal LSTM's equations in torch, its truncation as `detach`: an oracle for the compiled program."""

import numpy as np
import torch
from torch import Tensor

from karussell.data.problems import Sequences
from karussell.landmarks.literal import LiteralLSTM

SQUASH = {
    "identity": lambda x: x,
    "logistic": torch.sigmoid,
    "wide": lambda x: 4 * torch.sigmoid(x) - 2,
    "centred": lambda x: 2 * torch.sigmoid(x) - 1,
}


def truncated_gradient(net: LiteralLSTM, sequences: Sequences, *, cut: bool = True) -> np.ndarray:
    """-dE/dw with E = sum of squares / 2, nothing flowing through what a hidden unit saw of an earlier time."""
    shape = net.shape
    flat = torch.tensor(net.weights, requires_grad=True)
    rows = shape.cells + shape.gates
    size = rows * shape.columns
    peeps = shape.gates * shape.size * shape.peepholes
    hidden = flat[:size].reshape(rows, shape.columns)
    peepholes = flat[size : size + peeps].reshape(-1, shape.size)
    output = flat[size + peeps :].reshape(shape.outputs, -1)
    x = torch.tensor(sequences.dense)
    total = torch.zeros((), dtype=torch.float64)
    row = 0

    def held(value: Tensor) -> Tensor:
        return value.detach() if cut else value

    for n in range(len(sequences)):
        s = torch.zeros(shape.cells, dtype=torch.float64)
        y_c, y_g = torch.zeros_like(s), torch.zeros(shape.gates, dtype=torch.float64)
        for t in range(int(sequences.starts[n]), int(sequences.starts[n + 1])):
            fed = [held(y_c)] * shape.recurrent + [held(y_g)] * (shape.recurrent and shape.feed_gates)
            source = torch.cat([x[t], *fed, torch.ones(1, dtype=torch.float64)])
            z = hidden @ source

            def gate(kind: str, state: Tensor, z: Tensor = z) -> Tensor:
                rows = shape.rows(kind)
                net_input = z[rows]
                if shape.peepholes:
                    own = peepholes[rows.start - shape.cells : rows.stop - shape.cells]
                    net_input = net_input + (own * held(state).reshape(shape.blocks, shape.size)).sum(1)
                return torch.sigmoid(net_input)

            wide = torch.ones(shape.blocks, dtype=torch.float64)
            y_in = gate("in", s) if shape.input_gate else wide
            y_f = gate("forget", s) if shape.forget_gate else wide * net.carry
            s = y_f.repeat_interleave(shape.size) * s + y_in.repeat_interleave(shape.size) * SQUASH[shape.g](
                z[shape.rows("cell")]
            )
            y_out = gate("out", s) if shape.output_gate else wide
            y_c = y_out.repeat_interleave(shape.size) * SQUASH[shape.h](s)
            there = ((y_in, shape.input_gate), (y_f, shape.forget_gate), (y_out, shape.output_gate))
            y_g = torch.cat([g for g, used in there if used])
            if sequences.due[t]:
                seen = [y_c, *([x[t]] if shape.shortcuts else []), torch.ones(1, dtype=torch.float64)]
                y = SQUASH[shape.out](output @ torch.cat(seen))
                total = total + 0.5 * ((torch.tensor(sequences.targets[row]) - y) ** 2).sum()
                row += 1
    total.backward()
    assert flat.grad is not None
    return -flat.grad.numpy() * net.mask
