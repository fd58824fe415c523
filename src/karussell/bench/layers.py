"""The bench of layers: parity first, then every case turn about with its peers."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from karussell.bench import machine
from karussell.bench.parity import ParityError, check_engine
from karussell.bench.peers import Make, Side
from karussell.bench.plan import GROUPS, Plan
from karussell.bench.problem import Run, call_layer, same_numbers
from karussell.bench.result import Result, Row, median, name_of, spread
from karussell.bench.timing import turn_about
from karussell.errors import InputError
from karussell.files import write_atomic
from karussell.ops import Engine, watch

# seconds: what --quick may take altogether, with a reserve for the rounds that run over; what a case may take otherwise
QUICK, WHOLE_CASE = 190.0, 1.5
# other work on the machine, in cores, from which a warning is worth its line
BUSY = 0.5
_OURS = "ours"


def run_layers(
    groups: Sequence[str] | None = None,
    quick: bool = False,
    json: Path | str | None = None,
    threads: int | Sequence[int] | None = None,
    *,
    run: Run = call_layer,
    show: Callable[[Row], None] | None = None,
    say: Callable[[str], None] | None = None,
    seconds: float | None = None,
) -> Result:
    """Time our layers against their peers, and write the result to `json` if given.

    groups   names out of GROUPS; all if not given
    quick    fewer cases, every group, within 4 minutes on 2 cores; what does not fit in is left out and counted
    threads  how many threads, or several such numbers in turn; 1 and all cores if not given
    run      how a layer of ours is called
    show     gets every row as it is found;  say: a sentence at every part
    seconds  for a case; if not given, what `quick` or the whole bench gives it

    Raises ParityError, before anything is timed, where an engine's result is not the float64 reference's.
    """
    plans = chosen(groups, quick)
    counts = _counts(threads)
    if json is not None and not Path(json).absolute().parent.is_dir():
        raise InputError(f"the result should go to {json}, but its folder does not exist; make it first")
    begin = time.perf_counter()
    say = say or silent
    work = [(plan, n) for n in counts for plan in plans if n == 1 or plan.threads]
    if threads is not None:
        work = [(plan, n) for n in counts for plan in plans]
    busy = machine.load()
    if busy is not None and busy > BUSY:
        say(f"the machine is busy (load {busy}): with several threads above all, the figures are not the machine's own")
    _check(work, run, say)
    peaks = {}
    for n in counts:
        with machine.threads(n):
            peaks[n] = machine.peak()
        say(f"matrix-product peak with {n} thread{'s' if n > 1 else ''}: {peaks[n] / 1e9:.1f} GFLOP/s")
    rows, left_out = _time(work, peaks, run, quick, seconds, begin, show, say)
    about = {
        **machine.describe(),
        "peak_gflops": {str(n): round(v / 1e9, 1) for n, v in peaks.items()},
        "load": busy,
        "quick": quick,
        "left_out": left_out,
    }
    result = Result(about, tuple(rows))
    if json is not None:
        write_atomic(json, result.to_json())
    return result


def _time(
    work: Sequence[tuple[Plan, int]],
    peaks: dict[int, float],
    run: Run,
    quick: bool,
    seconds: float | None,
    begin: float,
    show: Callable[[Row], None] | None,
    say: Callable[[str], None],
) -> tuple[list[Row], int]:
    """The rows of all plans, and how many plans a quick bench left out because its time was over.

    The peak is measured again at every part, and the best of the whole run counts: rows shown on the way have the
    best so far.
    """
    found: list[tuple[Plan, int]] = []
    known: dict[tuple, dict[Make | str, list[float]]] = {}
    ran: dict[tuple, Engine] = {}
    part, left_out = None, 0
    for done, (plan, n) in enumerate(work):
        key = (plan.key, n)
        if key not in known:
            left = {(p.key, m) for p, m in work[done:]} - known.keys()
            fair = (QUICK - (time.perf_counter() - begin)) / len(left)
            if quick and fair <= 0:
                left_out += 1
                continue
            if part != (plan.group, n):
                part = (plan.group, n)
                say(f"timing {name_of(*part)}")
                with machine.threads(n):
                    peaks[n] = max(peaks[n], machine.peak(0.1))
            allowed = seconds or (min(1.0, max(0.1, fair)) if quick else WHOLE_CASE)
            with machine.threads(n):
                known[key], ran[key] = measure(plan, allowed, run)
        found.append((plan, n))
        if show is not None:
            for row in rows_of(plan, n, known[key], ran[key], peaks[n]):
                show(row)
    if left_out:
        say(f"left out for want of time: {left_out} of {len(work)} cases; a machine without other work is faster")
    rows = [r for p, n in found for r in rows_of(p, n, known[p.key, n], ran[p.key, n], peaks[n])]
    return rows, left_out


def chosen(groups: Sequence[str] | None, quick: bool) -> list[Plan]:
    """The plans of these groups."""
    names = list(GROUPS) if groups is None else list(groups)
    unknown = [name for name in names if name not in GROUPS]
    if unknown or not names:
        raise InputError(f"{', '.join(unknown) or 'nothing'} is no group of the bench; there are {', '.join(GROUPS)}")
    return [plan for name in names for plan in GROUPS[name](quick)]


def _counts(threads: int | Sequence[int] | None) -> list[int]:
    if threads is None:
        return sorted({1, machine.cores()})
    counts = [threads] if isinstance(threads, int) else list(threads)
    if not counts or min(counts) < 1:
        raise InputError(f"threads is {threads}; it must be a number from 1, or several")
    return counts


def _check(work: Sequence[tuple[Plan, int]], run: Run, say: Callable[[str], None]) -> None:
    """Every family of cases against the reference, with the threads it will be timed with."""
    families = {(plan.checked, n): (plan, n) for plan, n in work}
    say(f"parity: {len(families)} families of cases against the float64 reference")
    for plan, n in families.values():
        with machine.threads(n):
            plan.verify(plan.problem, plan.engine, run)


def measure(plan: Plan, seconds: float, run: Run = call_layer) -> tuple[dict[Make | str, list[float]], Engine]:
    """Seconds a call of ours and of every peer that is there, round by round; and which engine of ours ran."""
    layer = plan.problem.layer(plan.engine)
    ours = plan.ours(plan.problem, layer, run)
    sides: dict[Make | str, Side] = {_OURS: ours}
    for make in dict.fromkeys(p.make for p in plan.peers):
        # layers of others draw their weights from the global generator before they get ours
        with same_numbers():
            made = make(plan.problem, layer)
        if made is not None:
            sides[make] = made
    with watch() as seen:
        ours.call()
    if seen:
        check_engine(plan.engine, seen, plan.problem)
    _same(plan, sides)
    return turn_about({k: s.call for k, s in sides.items()}, seconds), seen[0] if seen else plan.engine


def _same(plan: Plan, sides: dict[Make | str, Side]) -> None:
    """Peers that should compute what ours does, do: over all steps, in float32 on both sides."""
    ours = sides[_OURS].output
    if ours is None:
        return
    y = ours()
    for peer in plan.peers:
        side = sides.get(peer.make)
        if side is not None and side.output is not None:
            truth = side.output()
            # a float32 recurrence over many steps carries its rounding along: this tells equations apart, no more
            if not torch.allclose(y, truth, rtol=1e-2, atol=1e-2 * float(truth.abs().max())):
                raise ParityError(f"{plan.group}, {plan.case}: ours and {peer.name} do not compute the same")


def rows_of(plan: Plan, threads: int, samples: dict[Make | str, list[float]], engine: Engine, peak: float) -> list[Row]:
    """The rows of a plan from its samples; peak is in floating-point operations a second."""
    ours = samples[_OURS]
    milliseconds = median(ours) * 1e3
    share = round(plan.problem.flops / median(ours) / peak, 4)
    rows = []
    for peer in plan.peers:
        times = samples.get(peer.make)
        ratios = None if times is None else [peer.scale * t / o for t, o in zip(times, ours, strict=True)]
        rows.append(
            Row(
                group=peer.group or plan.group,
                case=plan.case,
                ours_ms=_short(milliseconds),
                peer=peer.name,
                peer_ms=None if times is None else _short(median(times) * 1e3 * peer.scale),
                ratio=None if ratios is None else round(median(ratios), 4),
                spread=None if ratios is None else round(spread(ratios), 4),
                engine=str(engine),
                threads=threads,
                peak_share=share,
            )
        )
    if plan.best:
        rows = [min(rows, key=lambda row: float("inf") if row.ratio is None else row.ratio)]
    return rows


def _short(value: float) -> float:
    """Five digits."""
    return float(f"{value:.5g}")


def silent(sentence: str) -> None:
    """Say nothing."""
