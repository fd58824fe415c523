"""Every published equation once more, in NumPy, one row and one step at a time, as the papers write it.

A function takes the weights by gate (W[q], R[q], b[q]; R[q] has the columns of everything its gate sees), the unit
vectors u, the input x of one step and the states before it, and returns the states after it.
"""

import numpy as np

from karussell import cells

Vector = np.ndarray


def sigma(z):
    return 1 / (1 + np.exp(-z))


tanh = np.tanh


def net(m, q, x, seen):
    return m.W[q] @ x + m.R[q] @ seen + m.b[q]


def rnn(m, x, s):
    return {"h": tanh(net(m, "a", x, s["h"]))}


def relu_rnn(m, x, s):
    return {"h": np.maximum(0, net(m, "a", x, s["h"]))}


def indrnn(m, x, s):
    return {"h": np.maximum(0, m.W["a"] @ x + m.u["u"] * s["h"] + m.b["a"])}


def lstm(m, x, s):
    i, f, g, o = (net(m, q, x, s["h"]) for q in "ifgo")
    c = sigma(f) * s["c"] + sigma(i) * tanh(g)
    return {"h": sigma(o) * tanh(c), "c": c}


def odyssey(*, no_i=False, no_f=False, no_o=False, g=tanh, h=tanh, coupled=False):
    """The vanilla LSTM of the study with one thing changed."""

    def step(m, x, s):
        y, c = s["h"], s["c"]
        z = g(net(m, "g", x, y))
        i = 1.0 if no_i else sigma(net(m, "i", x, y) + m.u["p_i"] * c)
        if coupled:
            f = 1 - i
        elif no_f:
            f = 1.0
        else:
            f = sigma(net(m, "f", x, y) + m.u["p_f"] * c)
        c = i * z + f * c
        o = 1.0 if no_o else sigma(net(m, "o", x, y) + m.u["p_o"] * c)
        return {"h": o * h(c), "c": c}

    return step


def identity(v):
    return v


def fgr(m, x, s):
    # nine more matrices: every gate also sees i, f and o of the step before; the block input does not
    seen = np.concatenate([s["h"], s["y_i"], s["y_f"], s["y_o"]])
    z = tanh(m.W["g"] @ x + m.R["g"] @ s["h"] + m.b["g"])
    i = sigma(net(m, "i", x, seen) + m.u["p_i"] * s["c"])
    f = sigma(net(m, "f", x, seen) + m.u["p_f"] * s["c"])
    c = i * z + f * s["c"]
    o = sigma(net(m, "o", x, seen) + m.u["p_o"] * c)
    return {"h": o * tanh(c), "c": c, "y_i": i, "y_f": f, "y_o": o}


def lstm_1997(m, x, s):
    """Memory blocks of len(s) / len(y_in) cells; every net input sees x, all cells, all input and all output gates."""
    cells_, blocks = len(s["s"]), len(s["y_in"])
    size = cells_ // blocks
    source = np.concatenate([x, s["h"], s["y_in"], s["y_out"]])
    new = {name: np.zeros_like(v) for name, v in s.items()}
    for j in range(blocks):
        net_in = np.concatenate([m.W["i"][j], m.R["i"][j]]) @ source + m.b["i"][j]
        net_out = np.concatenate([m.W["o"][j], m.R["o"][j]]) @ source + m.b["o"][j]
        new["y_in"][j], new["y_out"][j] = sigma(net_in), sigma(net_out)
        for v in range(size):
            c = j * size + v
            net_c = np.concatenate([m.W["g"][c], m.R["g"][c]]) @ source + m.b["g"][c]
            g = 4 / (1 + np.exp(-net_c)) - 2
            new["s"][c] = s["s"][c] + new["y_in"][j] * g
            new["h"][c] = new["y_out"][j] * (2 / (1 + np.exp(-new["s"][c])) - 1)
    return new


def gru(m, x, s):
    h = s["h"]
    r = sigma(net(m, "r", x, h))
    z = sigma(net(m, "z", x, h))
    n = tanh(m.W["n"] @ x + m.b["n"] + r * (m.R["n"] @ h + m.b_r["n"]))
    return {"h": (1 - z) * n + z * h}


def gru_reset_before(m, x, s):
    h = s["h"]
    r = sigma(net(m, "r", x, h))
    z = sigma(net(m, "z", x, h))
    n = tanh(m.W["n"] @ x + m.R["n"] @ (r * h) + m.b["n"])
    return {"h": (1 - z) * n + z * h}


def clockwork(*periods):
    def step(m, x, s):
        hidden = len(s["h"])
        of = [periods[k * len(periods) // hidden] for k in range(hidden)]
        new, time = s["h"].copy(), int(s["t"][0])
        for k in range(hidden):
            if time % of[k] == 0:
                z = m.W["a"][k] @ x + m.b["a"][k]
                z += sum(m.R["a"][k, j] * s["h"][j] for j in range(hidden) if of[j] >= of[k])
                new[k] = tanh(z)
        return {"h": new, "t": np.full(hidden, (time + 1) % max(periods))}

    return step


def highway(depth):
    def step(m, x, s):
        h = s["h"]
        for n in range(1, depth + 1):
            a, t = m.R[f"a{n}"] @ h + m.b[f"a{n}"], m.R[f"t{n}"] @ h + m.b[f"t{n}"]
            if n == 1:
                a, t = a + m.W["a1"] @ x, t + m.W["t1"] @ x
            h = tanh(a) * sigma(t) + h * (1 - sigma(t))
        return {"h": h}

    return step


def min_gru(m, x, s):
    z = sigma(m.W["z"] @ x + m.b["z"])
    return {"h": (1 - z) * s["h"] + z * (m.W["n"] @ x + m.b["n"])}


def min_lstm(m, x, s):
    f = sigma(m.W["f"] @ x + m.b["f"])
    i = sigma(m.W["i"] @ x + m.b["i"])
    return {"h": f / (f + i) * s["h"] + i / (f + i) * (m.W["n"] @ x + m.b["n"])}


def qrnn(m, x, s):
    z, f, o = (m.W[q] @ x + m.b[q] for q in "zfo")
    c = sigma(f) * s["c"] + (1 - sigma(f)) * tanh(z)
    return {"h": sigma(o) * c, "c": c}


def sru(m, x, s):
    z, f, r, skip = (m.W[q] @ x + m.b[q] for q in "zfrs")
    c = sigma(f) * s["c"] + (1 - sigma(f)) * z
    return {"h": sigma(r) * tanh(c) + (1 - sigma(r)) * skip, "c": c}


EQUATIONS = {
    cells.RNN: rnn,
    cells.ReLURNN: relu_rnn,
    cells.IndRNN: indrnn,
    cells.LSTM: lstm,
    cells.PeepholeLSTM: odyssey(),
    cells.LSTM1997: lstm_1997,
    cells.CIFG: odyssey(coupled=True),
    cells.NIG: odyssey(no_i=True),
    cells.NFG: odyssey(no_f=True),
    cells.NOG: odyssey(no_o=True),
    cells.NIAF: odyssey(g=identity),
    cells.NOAF: odyssey(h=identity),
    cells.FGR: fgr,
    cells.GRU: gru,
    cells.GRUResetBefore: gru_reset_before,
    cells.ClockworkRNN: clockwork(1, 2, 4, 8),
    cells.RecurrentHighway: highway(2),
    cells.MinGRU: min_gru,
    cells.MinLSTM: min_lstm,
    cells.QRNN: qrnn,
    cells.SRU: sru,
}
