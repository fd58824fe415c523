"""The result of a bench as tables in a terminal."""

from karussell.bench.result import Result, Row, name_of


def show(result: Result) -> None:
    """Print one table a group and number of threads, and the summary."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    # where there is no terminal a log keeps whole lines
    console = console if console.is_terminal else Console(highlight=False, width=160)
    machine = result.machine
    console.print(f"{machine['cpu']}, {machine['cores']} cores, {machine['isa']}, torch {machine['torch']}")
    if "gpu" in machine:
        console.print(f"{machine['gpu']}, CUDA {machine['cuda']}, cuDNN {machine['cudnn']}")
    groups: dict[str, list[Row]] = {}
    for row in result.rows:
        groups.setdefault(name_of(row.group, row.threads), []).append(row)
    for name, rows in groups.items():
        console.print(name, style="bold")
        table = Table(box=None, pad_edge=False)
        for column in ("case", "ours ms", "peer", "peer ms", "ratio", "spread", "engine", "of peak"):
            table.add_column(column, justify="left" if column in ("case", "peer", "engine") else "right")
        for row in rows:
            table.add_row(*cells_of(row))
        console.print(table)
        console.print()
    console.print("summary: peer time / our time, above 1 ours is faster", style="bold")
    table = Table(box=None, pad_edge=False)
    for column in ("group", "geometric mean", "least", "cases"):
        table.add_column(column, justify="left" if column == "group" else "right")
    for name, entry in result.summary.items():
        table.add_row(name, f"{entry.geomean:.2f}", f"{entry.min:.2f}", str(entry.cases))
    console.print(table)


def cells_of(row: Row) -> tuple[str, ...]:
    """A row as words: case, ours, peer, peer's time, ratio, spread, engine, share of the peak."""
    share = "" if row.peak_share is None else f"{row.peak_share:.0%}"
    if row.ratio is None or row.peer_ms is None or row.spread is None:
        return row.case, f"{row.ours_ms:.4g}", row.peer, "not measured", "", "", row.engine, share
    numbers = (f"{row.ratio:.2f}", f"{row.spread:.2f}")
    return row.case, f"{row.ours_ms:.4g}", row.peer, f"{row.peer_ms:.4g}", *numbers, row.engine, share
