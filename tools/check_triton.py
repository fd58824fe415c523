"""Every cell, option, dtype and schedule of the Triton engine against the float64 reference.

    python tools/check_triton.py [--json FILE] [--cells NAME ...] [--every N] [--seconds N]

On a machine with a CUDA device the kernels run there, elsewhere they are interpreted, which takes more than half an
hour on one core; --every 11 makes every eleventh comparison of every cell. For every cell, dtype and schedule:
T = 1, 2 and 7, ragged, forwards and backwards; then every option alone and all at once. Prints the largest error as a
part of what is tolerated, and exits with 1 if one is above it.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "ops")]

# tests/conftest.py asks Triton to interpret where there is no device; it comes first
import conftest  # noqa: E402, F401, I001
import torch  # noqa: E402

from karussell.cells import Cell  # noqa: E402
from karussell.ops import Options  # noqa: E402
from triton_cases import DEVICE, SCHEDULES, compare  # noqa: E402
from user_cells import EVERY, Case, named  # noqa: E402

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
SHAPES = (
    Case(1, 2, 6),
    Case(2, 3, 5, ragged=True, reverse=True),
    Case(7, 3, 6, ragged=True),
    Case(7, 2, 6, reverse=True, bias=False, state=False),
)


def cases(cell: Cell) -> Iterator[tuple[str, dict]]:
    """Names and arguments of `compare`."""
    for dtype in DTYPES:
        for schedule in SCHEDULES:
            for case in SHAPES:
                yield "plain", {"case": case, "schedule": schedule, "dtype": dtype}
            for name, given in options(cell):
                if not (given.get("norm") and schedule.startswith("spread")):
                    case = Case(3, 3, 8, inputs=6, ragged=True, reverse=len(name) % 2 == 1)
                    yield name, {"case": case, "schedule": schedule, "dtype": dtype, **given}


def options(cell: Cell) -> Iterator[tuple[str, dict]]:
    """The options that fit a cell."""
    sees, plain = any(s.sees for s in cell.stages), cell.block == cell.heads == 1
    zone = {n: 0.2 + 0.1 * k for k, n in enumerate(cell.state)}
    yield "resets", {"resets": True}
    yield "resets to a start", {"resets": True, "start": True}
    yield "zoneout", {"options": Options(True, zone)}
    yield "zoneout in evaluation", {"options": Options(False, zone)}
    yield "limits", {"options": Options(True, zone, clip=dict.fromkeys(cell.state, 0.3))}
    if sees:
        yield "dropout on what R sees", {"options": Options(True, {}, 0.3)}
    if "drop" in cell.optional:
        yield "dropout on the candidate", {"options": Options(True, {}, 0.3, "candidate")}
    if sees and plain:
        yield "layer norm", {"norm": True}
    together = {"norm": True} if sees and plain else {}
    yield "all", {"options": Options(True, zone, 0.3 if sees else 0.0), "resets": True, "start": True, **together}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--cells", nargs="+")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long, and say what is left")
    given = parser.parse_args()
    begin, worst, failed, count, left = time.monotonic(), {}, [], 0, []
    for cell in EVERY:
        if given.cells and named(cell) not in given.cells:
            continue
        if time.monotonic() - begin > given.seconds:
            left.append(named(cell))
            continue
        # another first one for every cell, so that in time each comparison is some cell's
        for name, arguments in list(cases(cell))[EVERY.index(cell) % given.every :: given.every]:
            key, count = (name, str(arguments["dtype"])[6:]), count + 1
            try:
                worst[key] = max(worst.get(key, 0.0), compare(cell, **arguments))
            except AssertionError as error:
                failed.append(f"{named(cell)}, {name}: {error}")
                print("FAILED", failed[-1], flush=True)
        print(f"{named(cell)}: {time.monotonic() - begin:.0f} s", flush=True)
    where = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "Triton's interpreter"
    for (name, dtype), part in sorted(worst.items()):
        print(f"{dtype:9} {name:26} largest error {part:.2f} of what is tolerated")
    print(f"{count} comparisons on {where}, {len(failed)} failed, cells left out: {', '.join(left) or 'none'}")
    if given.json:
        rows = [{"option": n, "dtype": d, "part_of_tolerance": round(v, 4)} for (n, d), v in sorted(worst.items())]
        whole = {
            "where": where,
            "comparisons": count,
            "every": given.every,
            "failed": failed,
            "left_out": left,
            "worst": rows,
        }
        given.json.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
