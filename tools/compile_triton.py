"""Compile the Triton kernels of cells for a CUDA device that need not be here; nothing runs.

    python tools/compile_triton.py [--cells NAME ...] [--kinds KIND ...] [--dtypes bf16 fp32] [--capability 90]

Prints a line a kernel: the registers of a thread, and the bytes of its stack, which is what did not fit into them.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests")]
os.environ.pop("TRITON_INTERPRET", None)

import triton  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402

from karussell.ops.recurrence.triton.module import load  # noqa: E402
from karussell.ops.recurrence.triton.plan import Plan  # noqa: E402
from karussell.ops.recurrence.triton.schedule import Schedule  # noqa: E402
from karussell.program import program  # noqa: E402
from user_cells import EVERY, named  # noqa: E402

SCHEDULES = {
    "resident": Schedule("resident", units=64, depth=64, tiles=1),
    "resident, loaded": Schedule("resident", units=128, depth=128, warps=8),
    "spread": Schedule("spread", units=16, depth=64),
    "spread, kept": Schedule("spread", units=16, depth=64, tiles=4),
    "stepwise": Schedule("stepwise", rows=4, units=64),
}
INTEGERS = ("T", "B", "H", "reverse", "k", "drop_limit")
_WHOLE = ("lengths", "keys")


def signature(arguments: tuple[str, ...], names: list[str], dtype: str, training: bool) -> dict[str, str]:
    """The types of a kernel's arguments."""
    found = {}
    for name in names:
        if name in INTEGERS or (name.startswith("zone") and training):
            found[name] = "i32"
        elif name == "drop_scale" or name.startswith(("zone", "clip")):
            found[name] = "fp32"
        elif name in _WHOLE:
            found[name] = "*i64"
        elif name == "resets":
            found[name] = "*u8"
        elif name == "counter":
            found[name] = "*i32"
        elif name in ("scratch", "scales"):
            found[name] = "*fp32"
        else:
            found[name] = f"*{dtype}" if name in arguments else "constexpr"
    return found


def usage(cubin: bytes) -> str:
    """Registers and stack, as the assembler gave them."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        done = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True)
    found = dict(re.findall(r"(REG|STACK):(\d+)", done.stdout))
    return f"{found['REG']} registers, {found['STACK']} bytes of stack"


def plans(cell: Any, s: Schedule) -> list[Plan]:
    """Plain, and with everything on."""
    p, count = program(cell), len(cell.state)
    shown = tuple(sorted({count, *p.history}))
    plain = Plan(s.kind, s.tiles, bias=True, wide=(False,) * len(p.inputs), shown=shown, keep=True, flows=(0,))
    sees = any(stage.sees for stage in p.stages)
    normed = sees and s.kind != "spread" and cell.block == cell.heads == 1
    every = plain._replace(ragged=True, resets=True, training=True, zone=(0,), gal=sees, normed=normed)
    return [plain, every]


def compile_all(cell: Any, s: Schedule, dtype: str, capability: int) -> None:
    """Both directions of time."""
    for plan in plans(cell, s):
        for back in (False, True):
            for name, kernel in load(program(cell), plan, back).items():
                given = signature(kernel.arguments, kernel.function.arg_names, dtype, plan.training)
                constants = {"BB": s.rows, "UB": s.units, "KB": s.depth, "PRECISION": "ieee", "SIMULATE": False}
                source = triton.compiler.ASTSource(fn=kernel.function, signature=given, constexprs=constants)
                begin = time.monotonic()
                options = {"num_warps": s.warps, "num_stages": s.stages}
                if s.kind == "spread":
                    options["launch_cooperative_grid"] = True
                made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
                options_on = "every option" if plan.ragged else "plain"
                print(
                    f"{named(cell)}, {s.kind}, {dtype}, {options_on}, {'backward' if back else 'forward'} {name}: "
                    f"{made.metadata.shared} bytes shared, {usage(made.asm['cubin'])}, "
                    f"{time.monotonic() - begin:.1f} s",
                    flush=True,
                )


def compile_loss(capability: int) -> None:
    """The CTC loss, of up to 127 labels."""
    from karussell.ctc.triton import kernels

    for logits in (False, True):
        for kernel in (kernels.forward, kernels.backward, kernels.spread):
            constants = {"S": 256, "LOGITS": logits, "N": 16, "K": 128}
            constants = {n: v for n, v in constants.items() if n in kernel.arg_names}
            kinds = dict.fromkeys(("labels", "frames", "lengths"), "*i64")
            kinds |= dict.fromkeys(("steps", "batch", "classes", "width", "blank"), "i32")
            given = {n: "constexpr" if n in constants else kinds.get(n, "*fp32") for n in kernel.arg_names}
            source = triton.compiler.ASTSource(fn=kernel, signature=given, constexprs=constants)
            made = triton.compile(source, target=GPUTarget("cuda", capability, 32))
            print(
                f"CTC {kernel.__name__}, {'logits' if logits else 'log_probs'}: {usage(made.asm['cubin'])}", flush=True
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", nargs="+")
    parser.add_argument("--kinds", nargs="+", default=list(SCHEDULES))
    parser.add_argument("--dtypes", nargs="+", default=["bf16", "fp32"])
    parser.add_argument("--capability", type=int, default=90)
    given = parser.parse_args()
    if given.cells is None or "ctc" in given.cells:
        compile_loss(given.capability)
    for cell in EVERY:
        if given.cells is None or named(cell) in given.cells:
            for kind in given.kinds:
                for dtype in given.dtypes:
                    compile_all(cell, SCHEDULES[kind], dtype, given.capability)
    return 0


if __name__ == "__main__":
    sys.exit(main())
