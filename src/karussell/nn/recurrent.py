"""A recurrent layer for any cell: layers, directions, lengths, resets, and what regularises them."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import Module, ModuleList
from torch.nn.utils.rnn import PackedSequence

from karussell.cells import Cell
from karussell.cells.cell import Vector
from karussell.nn import fit
from karussell.nn.initial import Init, fill
from karussell.nn.layer import Layer
from karussell.nn.layout import given_lengths
from karussell.nn.stack import final_states, full_precision, stack, together
from karussell.nn.stepper import Stepper
from karussell.ops import Engine, Noise, Options, Result, both, recurrence
from karussell.ops.context import transformed
from karussell.ops.noise import uniform
from karussell.ops.recurrence.options import check
from karussell.ops.recurrence.request import Recompute

# masks between layers, beside the purposes the recurrence itself draws for
_BETWEEN = 300
# streams of one module: as many as no module has layers
_STREAMS = 1 << 16


class Inspection(NamedTuple):
    """Everything a layer computed.

    y        the output
    state    the final state
    states   the state after every step, one NamedTuple of [T, B, width] a layer and direction, as `state` has rows
    gates    the pre-activations of every gate by name, likewise
    engines  which engine ran each of them
    """

    y: Tensor
    state: tuple[Tensor, ...]
    states: tuple[tuple[Tensor, ...], ...]
    gates: tuple[dict[str, Tensor], ...]
    engines: tuple[Engine, ...]


class Recurrent(Module):
    """Layers of any cell, in one direction or both; with `cells.LSTM` and the defaults, `torch.nn.LSTM`'s numbers.

    bidirectional      each layer also runs backwards; outputs stand side by side
    bias               all gates, none, or the names of the gates that have one
    proj_size          P > 0: the output is P h, [P] wide, and R sees that (Sak et al. 2014)
    dropout            between layers; its masks are keyed like all others here
    residual           from the second layer on, a layer's output is its input plus what it computes
    layer_norm         of W x and R h apart, gate by gate, a gain each (Ba, Kiros & Hinton 2016)
    zoneout            a rate a state (Krueger et al. 2016), or one number for all states that gates drive
    recurrent_dropout  with recurrent_dropout_on="seen" one mask a sequence on what R sees (Gal & Ghahramani 2016),
                       with "candidate" a mask a step on the cell's candidate (Semeniuta et al. 2016)
    state_clip         a limit a state: it is kept within -limit and limit (Sak et al. 2014 clip c)
    recompute          "gates" or "segments": backward computes again what it would else find stored, for long sequences
    learned_state      the initial state is learned, a vector a layer and direction; resets restore it too
    forget_bias        what the bias of gate "f" starts from
    gate_bias          the same for any gate by name: a number, or a function of the number of units
    init_input         a function that fills a matrix in place, for every gate's part of W, or functions by gate
    init_recurrent     the same for R; what nobody names is filled as nn.initial says
    seed               keys all masks, with a count of training-mode forwards that is part of the state_dict

    Attributes: `layers`, one Layer a layer and direction, in the order of the state's rows; `output_size`.
    """

    forwards: Tensor

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        batch_first: bool = False,
        bias: bool | Collection[str] = True,
        proj_size: int = 0,
        dropout: float = 0.0,
        residual: bool = False,
        layer_norm: bool = False,
        zoneout: float | Mapping[str, float] = 0.0,
        recurrent_dropout: float = 0.0,
        recurrent_dropout_on: Literal["seen", "candidate"] = "seen",
        state_clip: Mapping[str, float] | None = None,
        recompute: Recompute = "none",
        learned_state: bool = False,
        forget_bias: float | None = None,
        gate_bias: Mapping[str, Vector] | None = None,
        init_input: Init | Mapping[str, Init] | None = None,
        init_recurrent: Init | Mapping[str, Init] | None = None,
        seed: int = 0,
        engine: Engine | str = Engine.auto,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if not isinstance(size, int) or size < 1:
                raise ValueError(f"Recurrent: {name} is {size!r}; it must be a whole number from 1")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"Recurrent: proj_size is {proj_size}; it must be below hidden_size, or 0 for none")
        if not 0 <= dropout < 1:
            raise ValueError(f"Recurrent: dropout is {dropout}; it is a probability, from 0 to below 1")
        if num_layers == 1 and (dropout or residual):
            warnings.warn(
                "dropout and residual act between layers, so they need num_layers greater than 1", stacklevel=2
            )
        self.cell, self.engine, self.seed = cell, Engine(engine), seed
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.proj_size, self.bidirectional, self.batch_first = proj_size, bidirectional, batch_first
        self.dropout, self.residual = dropout, residual
        self.zoneout = fit.zoneout_rates(cell, zoneout)
        self.recurrent_dropout, self.recurrent_dropout_on = recurrent_dropout, recurrent_dropout_on
        self.state_clip, self.recompute = dict(state_clip or {}), recompute
        check(self._options(), cell)
        biased = fit.biased_gates(cell, bias)
        self._gate_bias = fit.bias_values(cell, biased, forget_bias, gate_bias)
        self._init_input, self._init_recurrent = init_input, init_recurrent
        for what, chosen in (("init_input", init_input), ("init_recurrent", init_recurrent)):
            fit.check_functions(what, chosen, cell)
        self.directions = 2 if bidirectional else 1
        self.output_size = self.directions * (proj_size or hidden_size)
        self.layers = ModuleList(
            Layer(
                cell,
                input_size if index < self.directions else self.output_size,
                hidden_size,
                projection=proj_size or None,
                biased=biased,
                layer_norm=layer_norm,
                learned=fit.driven(cell) if learned_state else (),
                device=device,
                dtype=dtype,
            )
            for index in range(num_layers * self.directions)
        )
        self.register_buffer("forwards", torch.zeros((), dtype=torch.int64, device=device))
        self.reset_parameters()

    def forward(
        self,
        x: Tensor,
        state: Sequence[Tensor] | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
        inputs: Mapping[str, Tensor] | None = None,
        noise: Noise | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The output [T, B, output_size] and the final state; with batch_first, [B, T, ...] here and in what follows.

        x        [T, B, input_size]
        state    a NamedTuple of [layers * directions, B, width], as it comes out; the initial state if not given
        lengths  [B] valid steps: outputs beyond are zero, the final state is that of the last valid step
        resets   [T, B] booleans: before this step the row starts anew, from the initial state
        inputs   the cell's per-step inputs by name, [T, B] or [T, B, hidden_size], the same for all layers
        noise    what masks are keyed by, instead of (seed, count of forwards); the count then stays as it is
        """
        y, results = self._run(x, state, lengths, resets, inputs, noise, look=False)
        return self._turn(y), self.cell.State(*final_states(results))

    def inspect(
        self,
        x: Tensor,
        state: Sequence[Tensor] | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
        inputs: Mapping[str, Tensor] | None = None,
        noise: Noise | None = None,
    ) -> Inspection:
        """What `forward` computes, with the states and the gates at every step of every layer and direction."""
        y, results = self._run(x, state, lengths, resets, inputs, noise, look=True)
        return Inspection(
            self._turn(y),
            self.cell.State(*final_states(results)),
            tuple(self.cell.State(*map(self._turn, r.states or ())) for r in results),
            tuple({n: self._turn(v) for n, v in (r.gates or {}).items()} for r in results),
            tuple(r.engine for r in results),
        )

    def initial_state(self, batch: int) -> tuple[Tensor, ...]:
        """The state a sequence starts from: learned, or zeros."""
        parts = zip(*(layer.initial(batch) for layer in self._layers()), strict=True)
        return self.cell.State(*(torch.stack(p) for p in parts))

    def stepper(self, batch: int = 1) -> Stepper:
        """The layers one step at a time, y = stepper(x): a few microseconds a step, for live use (see Stepper)."""
        having = {
            "both directions": self.bidirectional,
            "a projection": self.proj_size,
            "layer norm": self._layers()[0].norm_x is not None,
            "residual connections": self.residual,
            "zoneout": any(self.zoneout.values()),
            "clipped states": any(self.state_clip.values()),
        }
        for what in (name for name, present in having.items() if present):
            raise ValueError(f"Recurrent: a stepper runs plain layers forward, one step at a time; this one has {what}")
        layers = self._layers()
        return Stepper(self.cell, [w.weights() for w in layers], batch, [w.initial(batch) for w in layers])

    def reset_parameters(self) -> None:
        """Fill all weights anew (see nn.initial)."""
        for layer in self._layers():
            fill(layer, self._gate_bias, self._init_input, self._init_recurrent)

    def extra_repr(self) -> str:
        """What differs from the defaults."""
        parts = [f"{self.cell.name}, {self.input_size}, {self.hidden_size}"]
        parts += [f"num_layers={self.num_layers}"] if self.num_layers > 1 else []
        # recompute changes no number
        shown = ["proj_size", "bidirectional", "batch_first", "dropout", "residual", "zoneout", "recurrent_dropout"]
        shown += ["state_clip"]
        return ", ".join(parts + [f"{n}={getattr(self, n)}" for n in shown if getattr(self, n)])

    def _layers(self) -> list[Layer]:
        return list(self.layers)  # type: ignore[arg-type]

    def _options(self) -> Options:
        return Options(self.training, self.zoneout, self.recurrent_dropout, self.recurrent_dropout_on, self.state_clip)

    def _turn(self, x: Tensor) -> Tensor:
        return x.transpose(0, 1) if self.batch_first else x

    def _run(
        self,
        x: Tensor,
        state: Sequence[Tensor] | None,
        lengths: Tensor | Sequence[int] | None,
        resets: Tensor | None,
        inputs: Mapping[str, Tensor] | None,
        noise: Noise | None,
        look: bool,
    ) -> tuple[Tensor, list[Result]]:
        x = self._checked(x)
        with full_precision(x) as cast:
            layers = self._layers()
            weights = [layer.weights() for layer in layers]
            dtype = weights[0].w.dtype
            x, batch = cast(x, dtype), x.shape[1]
            # zeros need no memory: the recurrence knows them
            initial = [layer.initial(batch) if layer.start else None for layer in layers]
            given = initial if state is None else self._given(state, x)
            given = [None if parts is None else tuple(cast(v, dtype) for v in parts) for parts in given]
            options, key = self._options(), self._key(noise)
            lengths = given_lengths(lengths, x)
            resets = None if resets is None else self._turn(resets)
            inputs = None if inputs is None else {n: self._turn(v) for n, v in inputs.items()}

            def one(x: Tensor, index: int, reverse: bool) -> Result:
                return recurrence(
                    self.cell,
                    x,
                    weights[index],
                    given[index],
                    lengths=lengths,
                    resets=resets,
                    start=initial[index],
                    inputs=inputs,
                    reverse=reverse,
                    options=options,
                    noise=None if key is None else _stream(key, index),
                    every_state=look,
                    every_gate=look,
                    recompute=self.recompute,
                    engine=self.engine,
                )

            def two(x: Tensor, index: int) -> list[Result]:
                return both(
                    self.cell,
                    x,
                    weights[index : index + 2],
                    given[index : index + 2],
                    lengths=lengths,
                    resets=resets,
                    start=initial[index : index + 2],
                    inputs=inputs,
                    options=options,
                    noise=[None if key is None else _stream(key, n) for n in (index, index + 1)],
                    every_state=look,
                    every_gate=look,
                    recompute=self.recompute,
                    engine=self.engine,
                )

            def between(y: Tensor, layer: int) -> Tensor:
                if key is None or not self.dropout or not self.training:
                    return y
                times = torch.arange(y.shape[0], device=y.device)
                kept = uniform(_stream(key, layer), _BETWEEN, times, batch, y.shape[2]) >= self.dropout
                return y * (kept.to(y.dtype) / (1 - self.dropout))

            pair = two if together(x, self.engine) else None
            return stack(one, x, self.num_layers, self.directions, between=between, residual=self.residual, pair=pair)

    def _key(self, noise: Noise | None) -> Noise | None:
        """What this forward's masks are keyed by; None where none are drawn. Counts the forward."""
        if not (self._options().random or (self.training and self.dropout and self.num_layers > 1)):
            return None
        if noise is not None:
            return noise
        if transformed():
            raise ValueError(
                "Recurrent: masks are keyed by a count of forwards, and torch.func transforms cannot count; "
                "give noise=Noise(seed, step), or call eval() first"
            )
        # in a graph the count is an input like others
        key = Noise(self.seed, self.forwards.clone() if torch.compiler.is_compiling() else int(self.forwards))
        self.forwards += 1
        return key

    def _checked(self, x: Tensor) -> Tensor:
        layout = "[B, T, input_size]" if self.batch_first else "[T, B, input_size]"
        if isinstance(x, PackedSequence):
            raise ValueError(
                f"Recurrent: x is a PackedSequence; give {layout} and lengths= "
                "(torch.nn.utils.rnn.pad_packed_sequence makes both), or use nn.LSTM, nn.GRU, nn.RNN"
            )
        if x.dim() != 3 or x.shape[2] != self.input_size:
            raise ValueError(
                f"Recurrent: x is {list(x.shape)}; it must be {layout} with input_size = {self.input_size}. "
                "A single sequence is a batch of one"
            )
        return self._turn(x)

    def _given(self, state: Sequence[Tensor], x: Tensor) -> list[tuple[Tensor, ...] | None]:
        names = self.cell.state
        if isinstance(state, Tensor) or len(state) != len(names):
            came = "one tensor" if isinstance(state, Tensor) else f"{len(state)} tensors"
            raise ValueError(f"Recurrent: state is {came}; {self.cell.name} has the states {', '.join(names)}")
        first = self._layers()[0]
        for name, value in zip(names, state, strict=True):
            need = [len(self.layers), x.shape[1], first.width(name)]
            if list(value.shape) != need:
                raise ValueError(
                    f"Recurrent: state.{name} is {list(value.shape)}; it must be [layers * directions, B, width] = "
                    f"{need}, also with batch_first"
                )
        return [tuple(v[k] for v in state) for k in range(len(self.layers))]


def _stream(key: Noise, index: int) -> Noise:
    """The noise of one layer and direction."""
    return key._replace(stream=key.stream * _STREAMS + index)
