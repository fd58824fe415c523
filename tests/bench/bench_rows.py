"""Rows for the tests of what is made from them."""

from karussell.bench.result import Row

MACHINE = {"cpu": "a", "cores": 2, "isa": "avx2", "system": "s", "python": "3", "torch": "2", "peers": {"x": None}}


def row(ratio: float | None = 2.0, group: str = "g", threads: int = 1, **other) -> Row:
    measured = ratio is not None
    found = {"case": "c", "ours_ms": 1.0, "peer": "p", "engine": "cpp", "peak_share": 0.5, **other}
    return Row(
        group=group,
        threads=threads,
        ratio=ratio,
        peer_ms=ratio if measured else None,
        spread=0.1 if measured else None,
        **found,
    )
