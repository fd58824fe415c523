"""The bench of CTC: parity first, then every case turn about with its peers."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from karussell.bench import ctc_loss, ctc_search, machine
from karussell.bench.ctc_case import Case
from karussell.bench.layers import silent
from karussell.bench.result import Result, Row, median, name_of, spread
from karussell.bench.timing import turn_about
from karussell.errors import InputError
from karussell.files import write_atomic

GROUPS: dict[str, Callable[[bool], Iterator[Case]]] = {**ctc_loss.GROUPS, **ctc_search.GROUPS}
"""The groups by name; each gives its cases, fewer of them when it should be quick."""

# seconds a case takes altogether
QUICK, WHOLE = 0.5, 3.0
_OURS = "ours"


def run_ctc(
    groups: Sequence[str] | None = None,
    quick: bool = False,
    json: Path | str | None = None,
    threads: int | Sequence[int] | None = None,
    *,
    say: Callable[[str], None] | None = None,
    seconds: float | None = None,
) -> Result:
    """Time CTC of ours against its peers, and write the result to `json` if given; the shape of `run_layers`.

    groups   names out of GROUPS; all if not given
    threads  how many threads, or several such numbers in turn; 1 and all cores if not given
    seconds  for a case; if not given, what `quick` or the whole bench gives it

    Raises ParityError, before anything is timed, where a result is not what it should be.
    """
    cases = chosen(groups, quick)
    counts = _counts(threads)
    if json is not None and not Path(json).absolute().parent.is_dir():
        raise InputError(f"the result should go to {json}, but its folder does not exist; make it first")
    say = say or silent
    say(f"parity: {len(cases)} cases")
    for case in cases:
        case.verify()
    load, rows, part = machine.load(), [], None
    for count in counts:
        for case in cases:
            if count > 1 and threads is None and not case.threads:
                continue
            if part != (case.group, count):
                part = (case.group, count)
                say(f"timing {name_of(*part)}")
            with machine.threads(count):
                rows += measure(case, count, seconds or (QUICK if quick else WHOLE))
    result = Result({**machine.describe(), "load": load, "quick": quick}, tuple(rows))
    if json is not None:
        write_atomic(json, result.to_json())
    return result


def chosen(groups: Sequence[str] | None, quick: bool) -> list[Case]:
    """The cases of these groups."""
    names = list(GROUPS) if groups is None else list(groups)
    unknown = [name for name in names if name not in GROUPS]
    if unknown or not names:
        raise InputError(f"{', '.join(unknown) or 'nothing'} is no group of the bench; there are {', '.join(GROUPS)}")
    return [case for name in names for case in GROUPS[name](quick)]


def measure(case: Case, threads: int, seconds: float) -> list[Row]:
    """One row a peer; the ratio is the median over rounds of the peer's time over ours."""
    made = case.sides(threads)
    calls = {_OURS: made.ours} | {p.name: p.call for p in made.peers if p.call is not None}
    # short calls get as many rounds as there is time for
    samples = turn_about(calls, seconds, most=2000)
    ours, rows = samples[_OURS], []
    for peer in made.peers:
        times = samples.get(peer.name)
        ratios = None if times is None else [t / o for t, o in zip(times, ours, strict=True)]
        rows.append(
            Row(
                group=peer.group or case.group,
                case=case.name,
                ours_ms=_milliseconds(ours),
                peer=peer.name,
                peer_ms=None if times is None else _milliseconds(times),
                ratio=None if ratios is None else round(median(ratios), 4),
                spread=None if ratios is None else round(spread(ratios), 4),
                engine=case.engine,
                threads=threads,
                peak_share=None,
            )
        )
    return rows


def _counts(threads: int | Sequence[int] | None) -> list[int]:
    if threads is None:
        return sorted({1, machine.cores()})
    counts = [threads] if isinstance(threads, int) else list(threads)
    if not counts or min(counts) < 1:
        raise InputError(f"threads is {threads}; it must be a number from 1, or several")
    return counts


def _milliseconds(seconds: Sequence[float]) -> float:
    """Five digits."""
    return float(f"{median(seconds) * 1e3:.5g}")
