"""The cases of every group: what is timed, against what."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from torch.nn import Module

from karussell.bench import compiled, options, own, parity, peers, step
from karussell.bench.peers import Peer, Side
from karussell.bench.problem import Problem, Run
from karussell.cells import (
    CIFG,
    FGR,
    GRU,
    LSTM,
    LSTM1997,
    NFG,
    NIAF,
    NIG,
    NOAF,
    NOG,
    QRNN,
    RNN,
    SRU,
    Cell,
    IndRNN,
    MinGRU,
    MinLSTM,
    PeepholeLSTM,
)
from karussell.ops import Engine

STEPS = 100
GRID = tuple((batch, hidden) for batch in (1, 8, 32, 128) for hidden in (64, 128, 256, 512))
QUICK_GRID = ((1, 64), (1, 256), (8, 128), (32, 256))
VARIANTS = (RNN, IndRNN, GRU, CIFG, PeepholeLSTM, LSTM1997, NIG, NFG, NOG, NIAF, NOAF, FGR, own.JANET, own.MGU)
ZOO = (PeepholeLSTM, IndRNN, own.JANET, own.UGRNN, own.MGU, CIFG, NFG, LSTM1997, FGR, GRU)
QUICK_ZOO = (PeepholeLSTM, IndRNN, own.JANET, CIFG)


def _ours(problem: Problem, layer: Module, run: Run) -> Side:
    lengths = problem.lengths()
    return peers.side(lambda x: run(layer, x, lengths)[0], layer, problem)


def _verify(problem: Problem, engine: Engine, run: Run) -> None:
    parity.verify(parity.family(problem), engine, run)


@dataclass(frozen=True)
class Plan:
    """One case of a group.

    best     only the row against the fastest peer stands
    ours     how our side is made from the problem and its layer
    verify   what must hold before it is timed
    threads  whether it is also timed with all threads
    """

    group: str
    case: str
    problem: Problem
    engine: Engine
    peers: tuple[Peer, ...]
    best: bool = False
    threads: bool = True
    ours: Callable[[Problem, Module, Run], Side] = _ours
    verify: Callable[[Problem, Engine, Run], None] = _verify

    @property
    def key(self) -> tuple:
        """Plans of one key are one measurement."""
        return self.problem, self.engine, tuple(p.make for p in self.peers), self.ours

    @property
    def checked(self) -> tuple:
        """Plans of one key are one parity check."""
        return self.verify, parity.family(self.problem), self.engine


def _grid(group: str, cell: Cell, training: bool, quick: bool) -> Iterator[Plan]:
    name = {LSTM: "torch.nn.LSTM", GRU: "torch.nn.GRU"}[cell]
    for batch, hidden in QUICK_GRID if quick else GRID:
        problem = Problem(cell, STEPS, batch, hidden, training)
        yield Plan(group, problem.name, problem, Engine.cpp, (Peer(name, peers.torch_layer),))


def _lstm_inference(quick: bool) -> Iterator[Plan]:
    return _grid("lstm-inference", LSTM, False, quick)


def _lstm_training(quick: bool) -> Iterator[Plan]:
    return _grid("lstm-training", LSTM, True, quick)


def _lstm_b1(quick: bool) -> Iterator[Plan]:
    for plan in (*_lstm_inference(quick), *_lstm_training(quick)):
        if plan.problem.batch == 1:
            yield replace(plan, group="lstm-b1", case=f"{_mode(plan.problem)} {plan.case}")


def _gru_inference(quick: bool) -> Iterator[Plan]:
    return _grid("gru-inference", GRU, False, quick)


def _gru_training(quick: bool) -> Iterator[Plan]:
    return _grid("gru-training", GRU, True, quick)


def _ragged(quick: bool) -> Iterator[Plan]:  # noqa: ARG001 - one case, quick or not
    problem = Problem(LSTM, 200, 32, 256, True, ragged=True)
    peer = Peer("torch.nn.LSTM, PackedSequence", peers.torch_layer)
    yield Plan("ragged", f"lengths 100-200 {problem.name}", problem, Engine.cpp, (peer,))


def _variants(quick: bool) -> Iterator[Plan]:
    whole = ((1, 256, True), (32, 128, True), (32, 256, False))
    for batch, hidden, training in whole[1:2] if quick else whole:
        for cell in VARIANTS:
            problem = Problem(cell, STEPS, batch, hidden, training, drop_in=False)
            gates = Fraction(len(cell.gates), 4)
            by_products = problem.products / replace(problem, cell=LSTM).products
            against = [Peer(f"our LSTM x {gates}", peers.our_lstm, float(gates))]
            if by_products > gates:
                name = f"our LSTM x {by_products:.3g}"
                against.append(Peer(name, peers.our_lstm, by_products, "variants-by-products"))
            case = f"{cell.name} {_mode(problem)} {problem.name}"
            yield Plan("variants", case, problem, Engine.cpp, tuple(against), threads=not quick)


def _zoo(batch: int, quick: bool) -> Iterator[Plan]:
    for cell in QUICK_ZOO if quick else ZOO:
        problem = Problem(cell, STEPS, batch, 128, True, drop_in=False)
        against: tuple[Peer, ...] = (Peer("eager loop", peers.eager_loop),)
        if cell in peers.TORCHRECURRENT:
            against = (Peer("torchrecurrent", peers.torchrecurrent), *against)
        case = f"{cell.name} {problem.name}"
        yield Plan(f"zoo-b{batch}", case, problem, Engine.cpp, against, threads=not quick)


def _zoo_b1(quick: bool) -> Iterator[Plan]:
    return _zoo(1, quick)


def _zoo_b32(quick: bool) -> Iterator[Plan]:
    return _zoo(32, quick)


def _auto(quick: bool) -> Iterator[Plan]:
    both = (Peer("cpp", peers.forced_cpp), Peer("vendor", peers.forced_vendor))
    for training in (False, True):
        for batch, hidden in QUICK_GRID[::2] if quick else GRID:
            problem = Problem(LSTM, STEPS, batch, hidden, training)
            yield Plan("auto", f"{_mode(problem)} {problem.name}", problem, Engine.auto, both, best=True)


def _step(quick: bool) -> Iterator[Plan]:
    problem = Problem(LSTM, 1, 1, 128, False)
    against = (*step.PEERS, step.PRODUCT)
    yield Plan(
        "step",
        f"lstm {problem.name}",
        problem,
        Engine.cpp,
        against,
        threads=not quick,
        ours=step.ours,
        verify=step.verify,
    )


def _compile(quick: bool) -> Iterator[Plan]:
    deep = Problem(LSTM, STEPS, 32, 128, True, ragged=True, deep=True)
    cases = [(deep, f"two layers both ways, ragged {deep.name}", compiled.EAGER)]
    if not quick:
        small = Problem(LSTM, STEPS, 8, 64, True)
        cases += [(small, small.name, compiled.EAGER)]
        cases += [(p, p.name, compiled.LOOP) for p in (Problem(LSTM, 20, 32, 128, True),)]
    for problem, case, peer in cases:
        yield Plan(
            "compile",
            case,
            problem,
            Engine.cpp,
            (peer,),
            threads=not quick,
            ours=compiled.ours,
            verify=compiled.verify,
        )


def _scan(quick: bool) -> Iterator[Plan]:
    both = (Peer("eager loop", peers.eager_loop), Peer("cpp", peers.forced_cpp, group="scan-by-cpp"))
    whole = ((16, 8, 64), (100, 32, 128), (1000, 1, 64), (1000, 8, 128))
    for cell in (MinLSTM,) if quick else (MinGRU, MinLSTM, QRNN, SRU):
        for steps, batch, hidden in whole[1:2] if quick else whole:
            for training in (True,) if quick else (False, True):
                problem = Problem(cell, steps, batch, hidden, training, drop_in=False)
                case = f"{cell.name} {_mode(problem)} {problem.name}"
                yield Plan("scan", case, problem, Engine.scan, both, threads=not quick)


def _options(quick: bool) -> Iterator[Plan]:
    for batch, hidden in ((32, 128),) if quick else ((8, 128), (32, 256)):
        problem = Problem(LSTM, STEPS, batch, hidden, True, drop_in=False)
        for name, (ours, verify) in options.SIDES.items():
            scale = options.PRODUCTS.get(name, 1.0)
            plain = Peer("our plain LSTM" + (f" x {scale:.2f}" if scale != 1 else ""), peers.our_lstm, scale)
            yield Plan(
                "options",
                f"{name} {problem.name}",
                problem,
                Engine.cpp,
                (plain,),
                threads=False,
                ours=ours,
                verify=verify,
            )


def _mode(problem: Problem) -> str:
    return "training" if problem.training else "inference"


GROUPS: dict[str, Callable[[bool], Iterator[Plan]]] = {
    "lstm-inference": _lstm_inference,
    "lstm-training": _lstm_training,
    "lstm-b1": _lstm_b1,
    "gru-training": _gru_training,
    "gru-inference": _gru_inference,
    "ragged": _ragged,
    "variants": _variants,
    "zoo-b1": _zoo_b1,
    "zoo-b32": _zoo_b32,
    "auto": _auto,
    "step": _step,
    "compile": _compile,
    "scan": _scan,
    "options": _options,
}
"""The groups by name; each gives its plans, fewer of them when it should be quick."""
