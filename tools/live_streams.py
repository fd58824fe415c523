"""Many live streams in one process on one core.

    python tools/live_streams.py MODEL [--streams 100] [--seconds 30] [--onnx] [--json FILE]
    python tools/live_streams.py MODEL --streams 100 --minutes 30 --fast [--json FILE]

MODEL is the folder of a causal model of spoken digits. Every stream hears the official test strings, one after the
other, in pieces of 100 ms that come when a microphone would give them, the streams evenly staggered. Printed: how long
after its last sample came the answer of a piece was there (median, 99th per cent, worst), the share of the core,
whether every transcript is the one of the whole recording, and the memory along the way. With --fast the pieces come as
soon as those before are answered: half an hour of every stream, without waiting for it.

With --onnx, ONNX Runtime does the same work with the exported model: the same streams, recordings and pieces, from
features that were computed before, which are not in its time (they are in ours); and once more with all streams as one
batch, which begin and end together.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402 - numpy reads these when it starts

from karussell import runtime  # noqa: E402
from karussell.data.digits import RATE  # noqa: E402
from karussell.files import write_atomic  # noqa: E402
from karussell.runtime.decode import Greedy  # noqa: E402
from karussell.runtime.folder import read_folder  # noqa: E402
from karussell.tasks.digits import held_out_strings  # noqa: E402

PIECE = RATE // 10
POINTS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--onnx", action="store_true")
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
    seconds = given.seconds if given.minutes is None else 60 * given.minutes
    result = run(given.model, given.streams, seconds, given.fast)
    if given.onnx:
        result |= beside(given.model, given.streams)
    if given.json is not None:
        write_atomic(given.json, json.dumps(result, indent=1) + "\n")


def run(folder: Path, count: int, seconds: float, fast: bool) -> dict[str, Any]:
    """The streams in our own runtime."""
    model = runtime.load(folder)
    recordings = [u.samples(RATE) for u in held_out_strings("official")]
    expected = ["".join(model.predict(x, RATE).text) for x in recordings]
    how = "as fast as they go" if fast else "in real time"
    print(f"{count} streams, {seconds:g} s each, {how}, one core, {len(recordings)} recordings over and over")
    print(f"the model answers {1000 * model.stream().latency:.0f} ms after the middle of a step, of its own nature")
    lengths = [len(x) for x in recordings]
    streams = [Stream(lambda: Ours(model, recordings), lengths, expected, k) for k in range(count)]
    pieces, memory = round(seconds * RATE / PIECE), []
    # counted in bins of 10 microseconds, so that the measurement itself takes no memory as it goes
    delays, busy, worst, begin = np.zeros(100_000, np.int64), 0.0, 0.0, time.perf_counter()
    marks = {round(k * (pieces - 1) / (POINTS - 1)) for k in range(POINTS)}
    for piece in range(pieces):
        for k, stream in enumerate(streams):
            due = begin + (piece + 1 + k / count) * 0.1
            while not fast and (ahead := due - time.perf_counter()) > 0:
                time.sleep(ahead)
            started = time.perf_counter()
            stream.hear()
            ended = time.perf_counter()
            busy += ended - started
            delay = ended - (started if fast else due)
            delays[min(int(delay * 1e5), len(delays) - 1)] += 1
            worst = max(worst, delay)
        if piece in marks:
            memory.append(round(rss(), 1))
    wrong, finished = (sum(getattr(s, n) for s in streams) for n in ("wrong", "finished"))
    shares = np.cumsum(delays) / delays.sum()
    median, p99 = (float(np.searchsorted(shares, share) + 1) / 100 for share in (0.5, 0.99))
    print(f"answer after a piece: {median:.2f} ms, p99 {p99:.2f} ms, worst {1000 * worst:.2f} ms")
    print(f"the core was busy for {100 * busy / (pieces * 0.1):.1f} % of the time that the sound lasts")
    print(f"{finished} transcripts finished, {wrong} other than offline")
    print(f"memory in MiB along the way: {', '.join(f'{m:.1f}' for m in memory)}")
    return {
        "streams": count, "seconds_each": seconds, "real_time": not fast, "median_ms": median, "p99_ms": p99,
        "worst_ms": round(1000 * worst, 2), "core_share": round(busy / (pieces * 0.1), 4), "transcripts": finished,
        "other_than_offline": wrong, "memory_mib": memory,
    }  # fmt: skip


class Ours:
    """One recording on its way through our runtime."""

    def __init__(self, model: runtime.Recogniser, recordings: list[np.ndarray]) -> None:
        self.stream, self.recordings, self.text = model.stream(), recordings, ""

    def hear(self, number: int, first: int, last: int, end: bool) -> None:
        found = self.stream.push(self.recordings[number][first:last])
        found += self.stream.finish() if end else []
        self.text += "".join(label.text for label in found)


class Stream:
    """Somebody who says one test string after another."""

    def __init__(self, make: Callable[[], Any], lengths: list[int], expected: list[str], first: int) -> None:
        self.make, self.lengths, self.expected, self.at = make, lengths, expected, first % len(lengths)
        self.wrong = self.finished = 0
        self.now, self.heard = make(), 0

    def hear(self) -> None:
        """The next tenth of a second."""
        length = self.lengths[self.at]
        last = min(self.heard + PIECE, length)
        self.now.hear(self.at, self.heard, last, last == length)
        self.heard = last
        if last == length:
            self.finished += 1
            self.wrong += self.now.text != self.expected[self.at]
            self.at = (self.at + 1) % len(self.lengths)
            self.now, self.heard = self.make(), 0


def rss() -> float:
    """Resident memory in MiB now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


class Theirs:
    """One recording on its way through ONNX Runtime, from features that are there already."""

    def __init__(self, plan: Any, call: Callable, features: list[np.ndarray]) -> None:
        from karussell.serve.onnx_transcriber import LEAST, begin

        self.state, self.call, self.features, self.plan = begin(plan, 1), call, features, plan
        self.least, self.at, self.text = LEAST * plan.subsampling, 0, ""
        self.names = ["h", "c", *(n for n in self.state if n not in ("h", "c"))]
        self.greedy = Greedy(plan.symbols, plan.blank, plan.step_seconds)

    def hear(self, number: int, first: int, last: int, end: bool) -> None:  # noqa: ARG002 - pieces begin where they ended
        x = self.features[number]
        # frames whose windows lie within what was heard
        ready = len(x) if end else min(len(x), max(0, (last - self.plan.bank.window) // self.plan.bank.hop + 1))
        if not end and (ready - self.at < self.least or len(x) - ready < self.least):
            return
        feed = {"features": x[self.at : ready, None], "last": np.asarray([int(end)]), **self.state}
        log_probs, *new = self.call(None, feed)
        self.state, self.at = dict(zip(self.names, new, strict=True)), ready
        found = self.greedy.push(log_probs[:, 0]) + (self.greedy.finish() if end else [])
        self.text += "".join(label.text for label in found)


def beside(folder: Path, count: int, rounds: int = 100) -> dict[str, float]:
    """ONNX Runtime and our runtime on the same pieces, turn about, for `rounds` pieces of every stream."""
    from karussell.data.features import Features, FilterBank, Normalisation
    from karussell.serve.onnx import export_transcriber, session
    from karussell.serve.onnx_transcriber import begin

    model = runtime.load(folder)
    plan, content = model.plan, read_folder(folder)[0]
    bank = FilterBank(**content["config"]["features"])
    features = Features(bank, Normalisation.from_dict(content["normalisation"]))
    recordings = [u.samples(RATE) for u in held_out_strings("official")]
    seen = [np.ascontiguousarray(features(x), np.float32) for x in recordings]
    expected = ["".join(model.predict(x, RATE).text) for x in recordings]
    call = session(export_transcriber(plan, folder / "stream.onnx", stream=True).path.read_bytes()).run
    lengths = [len(x) for x in recordings]
    ours = [Stream(lambda: Ours(model, recordings), lengths, expected, k) for k in range(count)]
    theirs = [Stream(lambda: Theirs(plan, call, seen), lengths, expected, k) for k in range(count)]
    spent = {"ours": 0.0, "onnx": 0.0}
    for _ in range(rounds):
        for name, streams in (("ours", ours), ("onnx", theirs)):
            started = time.perf_counter()
            for stream in streams:
                stream.hear()
            spent[name] += time.perf_counter() - started
    each = {name: 1000 * total / (rounds * count) for name, total in spent.items()}
    wrong, finished = (sum(getattr(s, n) for s in theirs) for n in ("wrong", "finished"))
    print(
        f"a stream and piece, turn about: karussell.runtime {each['ours']:.3f} ms with the filter bank, ONNX Runtime "
        f"{each['onnx']:.3f} ms without; {finished} of its transcripts finished, {wrong} other than ours"
    )
    x = np.random.default_rng(0).standard_normal((10, count, plan.bank.bands), np.float32)
    state, times, names = begin(plan, count), [], None
    names = ["h", "c", *(n for n in state if n not in ("h", "c"))]
    for k in range(rounds + 20):
        started = time.perf_counter()
        feed = {"features": np.concatenate([x, x]) if k == 0 else x, "last": np.asarray([0]), **state}
        _, *new = call(None, feed)
        times.append(time.perf_counter() - started)
        state = dict(zip(names, new, strict=True))
    together = 1000 * float(np.median(times[20:])) / count
    print(f"ONNX Runtime with {count} streams as one batch: {together:.3f} ms a stream and piece")
    return {"ours_ms": each["ours"], "onnx_ms": each["onnx"], "onnx_batch_ms": together, "onnx_other": wrong}


if __name__ == "__main__":
    main()
