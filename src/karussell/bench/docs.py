"""docs/benchmarks.md, made from result files and from nothing else."""

from collections.abc import Mapping

from karussell.bench.result import Result, Row, name_of
from karussell.bench.show import cells_of

INTRO = """# Benchmarks

This page is made from the files in `benchmarks/results` by

    python -m karussell.bench docs benchmarks/results/*.json --out docs/benchmarks.md

and measured by `karussell bench layers --json benchmarks/results/NAME.json`, or `karussell bench ctc --json ...`.

- Nothing is timed before the engine's output, final state and gradients are the float64 reference's, for every cell
  and every size of the bench. Peers with the same equations get the same weights, and must give the same output.
- Both sides run in one process, turn about, in an order that is turned round every round. A ratio is the median over
  rounds of the peer's time over ours: **above 1, ours is faster**. The spread is the interquartile range of the
  rounds' ratios.
- The engine is forced where it is named `cpp`, and the one that ran is the one shown. "Of peak" is our arithmetic a
  second as a share of what torch's product of two 1024 x 1024 matrices reaches in the same run with the same threads.
- Training is forward and backward, with gradients of the input and of all weights. Inputs are as wide as the layer.
  `GROUP@2` is GROUP with two threads; otherwise there is one.
- `variants` compares a cell with our own plain LSTM, its time scaled by the number of gates over 4;
  `variants-by-products` scales by the numbers of weights instead, for cells whose gates see more than the output.
- `step-product` compares a step with the one matrix-vector product it cannot do without.
- `compile` is a training step of ours under `torch.compile(fullgraph=True)` against the same without it;
  `compile-loop` is it against a Python loop over the steps that torch.compile unrolled.
- `scan` is the scan engine against the same cell step after step in plain torch; `scan-by-cpp` is it against the
  compiled loop.
- `loss`, `loss-large-vocabulary` and `loss-from-logits` are the CTC loss, forward and backward, against
  `torch.nn.functional.ctc_loss` from the same float32 numbers; its value and gradient must be the float64 reference's
  first. `loss-threads` compares ours with itself on one thread; small batches use one anyway and differ by chance.
- `search-vs-...` is the CTC search of one utterance of 500 frames at beam 100 on one thread, at the peer's own
  settings, from log-probabilities of trained models of ours. What finds fewer right letters than the peer, by more
  than half a per cent, is not timed; `python -m karussell.bench.ctc_search` prints error rates and memory.
"""

HEAD = ("case", "ours ms", "peer", "peer ms", "ratio", "spread", "engine", "of peak")


def render(results: Mapping[str, Result]) -> str:
    """The page; one part a result, by name."""
    parts = [INTRO]
    if not results:
        parts.append("No results have been committed yet.\n")
    parts += [_part(name, results[name]) for name in sorted(results)]
    return "\n".join(parts)


def _part(name: str, result: Result) -> str:
    m = result.machine
    peaks = ", ".join(f"{v:g} with {n} thread{'s' if n != '1' else ''}" for n, v in m.get("peak_gflops", {}).items())
    peers = ", ".join(f"{k} {v or '(not installed)'}" for k, v in m.get("peers", {}).items())
    lines = [
        f"## {name}",
        "",
        f"{m['cpu']}, {m['cores']} cores, {m['isa']}; {m['system']}, Python {m['python']}, torch {m['torch']}; "
        f"{peers}. Matrix-product peak in GFLOP/s: {peaks}.",
        *_remarks(result),
        "",
        *_table(
            ("group", "geometric mean", "least", "cases"),
            [(k, f"{s.geomean:.2f}", f"{s.min:.2f}", str(s.cases)) for k, s in result.summary.items()],
        ),
    ]
    groups: dict[str, list[Row]] = {}
    for row in result.rows:
        groups.setdefault(name_of(row.group, row.threads), []).append(row)
    for group, rows in groups.items():
        lines += ["", f"### {name}: {group}", "", *_table(HEAD, [cells_of(row) for row in rows])]
    return "\n".join(lines) + "\n"


def _remarks(result: Result) -> list[str]:
    """What a reader must know about this run."""
    m = result.machine
    found = ["", "A quick run: fewer cases than the whole bench."] if m.get("quick") else []
    if m.get("left_out"):
        found += ["", f"Left out for want of time: {m['left_out']} cases."]
    return found


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]
