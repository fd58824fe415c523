"""Random arguments into the compiled CTC loss under AddressSanitizer and UBSan: `python tools/fuzz_ctc.py [COUNT]`.

Compiles the loss anew with the sanitizers and calls its three entry points with COUNT argument sets (100,000 if not
given): sizes, strides, lengths, labels and numbers, about half of them with something impossible among them. Every
array is as long as the call says; whatever else is wrong must come back as a status, and a finding ends it.
"""

import ctypes
import os
import subprocess
import sys
import tempfile

import numpy as np

FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1 -O1"
DONE, CLOSED = 0, -1
STATUSES = range(CLOSED, 7)
ODD = (-(2**63), -(2**40), -2, -1, 0, 1, 2, 7, 1000, 2**31, 2**40, 2**62, 2**63 - 1)
SIZES = ("frames", "batch", "classes", "width", "blank", "threads", "x_step", "x_row", "x_class", "labels_row")
SIZES += ("v_step", "v_row", "v_class")
COUNTS = ("x_count", "rows_count", "labels_count", "shift_count", "occupancy_count", "gradient_count", "v_count")
ARRAYS = ("x", "labels", "input_lengths", "target_lengths", "losses", "shift", "occupancy", "scores", "upstream")
ARRAYS += ("gradient", "v", "change")


def main() -> int:
    """Start this file again with the sanitizers' library loaded, which must come first."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    if os.environ.get("KARUSSELL_SANITIZED"):
        return work(count)
    tool = os.environ.get("CXX", "g++")
    asan = subprocess.run([tool, "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if "/" not in asan:
        print(f"{tool} has no libasan.so, so nothing can be checked; install gcc's sanitizers")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "KARUSSELL_SANITIZED": "1",
            "KARUSSELL_HOME": folder,
            "KARUSSELL_CXXFLAGS": FLAGS,
            "LD_PRELOAD": asan,
            # the interpreter itself keeps memory to its end; no memory is an answer, not a finding
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:abort_on_error=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "OMP_WAIT_POLICY": "passive",
        }
        return subprocess.run([sys.executable, __file__, *sys.argv[1:]], env=environment).returncode


def work(count: int) -> int:
    """Call with `count` argument sets; a wrong status or a finding ends the process."""
    from karussell.ctc.kernel import Call, library

    loss = library()
    rng = np.random.default_rng(0)
    seen = dict.fromkeys(STATUSES, 0)
    for turn in range(count):
        kind = ("f32", "f64")[turn % 2]
        call, alive, odd = draw(rng, Call, np.float32 if kind == "f32" else np.float64)
        for name in ("forward", "spread", "tangent"):
            status = getattr(loss, f"{kind}_{name}")(ctypes.byref(call))
            if status not in STATUSES or (status > DONE and not odd):
                print(f"set {turn}, {kind}_{name}: status {status} for {'odd' if odd else 'sound'} arguments")
                return 1
            seen[status] += 1
            # what forward refused has left nothing for the others to read; what it was not asked for neither
            if name == "forward" and status > DONE and alive["occupancy"] is not None:
                alive["occupancy"][:] = rng.standard_normal(alive["occupancy"].size)
        del alive
    print(f"{count} argument sets, clean; by status {seen}")
    return 0


def draw(
    rng: np.random.Generator, kind: type, dtype: type
) -> tuple[ctypes.Structure, dict[str, np.ndarray | None], bool]:
    """A call, the arrays behind it, and whether something about it may be refused."""
    steps, batch, classes = (int(rng.integers(1, top)) for top in (13, 5, 9))
    blank, width = int(rng.integers(classes)), int(rng.integers(0, 18)) if classes > 1 else 0
    lengths = rng.integers(0, width + 1, batch)
    padded = rng.random() < 0.5
    row = width + int(rng.integers(3))
    total = batch * row if padded else int(lengths.sum())
    labels = rng.integers(0, max(classes - 1, 1), total)
    labels += labels >= blank
    x, strides = numbers(rng, (steps, batch, classes), dtype)
    v, v_strides = numbers(rng, (steps, batch, classes), dtype)
    shape = steps * batch * (width + 1)
    arrays = {
        "x": x,
        "labels": labels,
        "input_lengths": rng.integers(0, steps + 1, batch),
        "target_lengths": lengths,
        "losses": np.empty(batch, dtype),
        "shift": np.zeros(steps * batch, dtype),
        "occupancy": np.zeros(shape, dtype),
        "scores": np.empty(batch),
        "upstream": rng.standard_normal(batch).astype(dtype) * (rng.random(batch) < 0.8),
        "gradient": np.empty(steps * batch * classes, dtype),
        "v": v,
        "change": np.empty(shape, dtype),
    }
    fields = dict(zip(SIZES, (steps, batch, classes, width, blank, 1, *strides, 0, *v_strides), strict=True))
    fields |= {"labels_row": row if padded else -1, "threads": int(rng.integers(1, 4))}
    fields |= {"best": int(rng.integers(2)), "logits": int(rng.integers(2)), "tolerance": 0.0}
    held = (x.size, batch, total, steps * batch, shape, arrays["gradient"].size, v.size)
    fields |= dict(zip(COUNTS, held, strict=True))
    odd = bool(rng.random() < 0.5)
    if odd:
        for _ in range(rng.integers(1, 4)):
            spoil(rng, fields, arrays)
    call = kind()
    for name, value in fields.items():
        setattr(call, name, value)
    for name in ARRAYS:
        setattr(call, name, None if arrays[name] is None else arrays[name].ctypes.data)
    return call, arrays, odd


def numbers(rng: np.random.Generator, shape: tuple[int, ...], dtype: type) -> tuple[np.ndarray, tuple[int, ...]]:
    """Numbers of any size, and strides that reach no further than they do: in any order, with gaps or repeated."""
    strides, reach = [0, 0, 0], 1
    for axis in rng.permutation(3):
        if rng.random() < 0.85:
            strides[axis] = reach * int(rng.integers(1, 3))
            reach += (shape[axis] - 1) * strides[axis]
    values = rng.standard_normal(reach) * 10.0 ** rng.integers(-3, 4)
    special = rng.random(reach)
    edge = float(np.finfo(dtype).max)
    for k, odd in enumerate((-np.inf, np.inf, np.nan, edge, -edge, -1e9)):
        values[(special > 0.02 * k) & (special < 0.02 * k + (0.02 if rng.random() < 0.1 else 0.0))] = odd
    return values.astype(dtype), tuple(strides)


def spoil(rng: np.random.Generator, fields: dict, arrays: dict[str, np.ndarray | None]) -> None:
    """Put something impossible in one place; a count is only ever made too small."""
    where = rng.integers(5)
    if where == 0:
        name, value = SIZES[rng.integers(len(SIZES))], int(ODD[rng.integers(len(ODD))])
        # with a stride of 0 two thousand million classes are sound, and take their time
        fields[name] = 1000 if name == "classes" and value == 2**31 else value
    elif where == 1:
        name = COUNTS[rng.integers(len(COUNTS))]
        fields[name] = int(rng.integers(0, fields[name] + 1))
    elif where == 2:
        fields["tolerance"] = float(rng.choice([1e-3, np.nan, -1.0, np.inf]))
    elif where == 3:
        name = ("labels", "input_lengths", "target_lengths")[rng.integers(3)]
        if arrays[name] is not None and arrays[name].size:
            # no length of a row may be believed that there is no memory for
            wrong = [k for k in ODD if not 1000 <= k < 2**62 or name == "labels"]
            arrays[name][rng.integers(arrays[name].size)] = wrong[rng.integers(len(wrong))]
    else:
        arrays[ARRAYS[rng.integers(len(ARRAYS))]] = None


if __name__ == "__main__":
    sys.exit(main())
