"""Many live streams in one process on one core: `python tools/live_streams.py MODEL [STREAMS] [SECONDS] [onnx]`.

MODEL is the folder of a causal model of spoken digits. Every stream hears test strings of the digits, one after
the other, in pieces of 100 ms that come when a microphone would give them, the streams evenly staggered. Printed: how
long after its last sample came the answer of a piece was there (median, 99th per cent, worst), the share of the core,
whether every transcript is the one of the whole recording, and the memory along the way. With SECONDS 0 the pieces of
half an hour come as fast as they are answered. With `onnx`, ONNX Runtime does the same work beside it from finished
features, stream by stream and all streams as one batch.
"""

import os
import resource
import sys
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402 - numpy reads these when it starts

from karussell import runtime  # noqa: E402
from karussell.data.digits import RATE  # noqa: E402
from karussell.tasks.digits import held_out_strings  # noqa: E402

PIECE = RATE // 10


def main(folder: str, count: int = 100, seconds: float = 30.0, onnx: bool = False) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
    model = runtime.load(folder)
    recordings = [u.samples(RATE) for u in held_out_strings("official")]
    expected = ["".join(model.predict(x, RATE).text) for x in recordings]
    print(f"{count} streams, {'as fast as they go' if not seconds else f'{seconds:g} s in real time'}, one core")
    print(f"the model answers {1000 * model.stream().latency:.0f} ms after the middle of a step, of its own nature")
    streams = [Stream(model, recordings, expected, k) for k in range(count)]
    pieces = round((seconds or 1800) * RATE / PIECE)
    delays, busy, memory = np.full(pieces * count, np.nan), 0.0, []
    begin = time.perf_counter()
    for piece in range(pieces):
        for k, stream in enumerate(streams):
            due = begin + (piece + 1 + k / count) * 0.1
            while seconds and (ahead := due - time.perf_counter()) > 0:
                time.sleep(ahead)
            started = time.perf_counter()
            stream.hear()
            ended = time.perf_counter()
            busy += ended - started
            delays[piece * count + k] = ended - (due if seconds else started)
        if piece % (pieces // 6) == pieces // 12:
            memory.append(rss())
    wrong, finished = (sum(getattr(s, n) for s in streams) for n in ("wrong", "finished"))
    milliseconds = 1000 * delays
    print(f"answer after a piece: {np.median(milliseconds):.2f} ms, p99 {np.quantile(milliseconds, 0.99):.2f} ms, "
          f"worst {milliseconds.max():.2f} ms")  # fmt: skip
    print(f"the core was busy for {100 * busy / (pieces * 0.1):.1f} % of the time that the sound lasts")
    print(f"{finished} transcripts finished, {wrong} other than offline")
    print(f"memory in MiB along the way: {', '.join(f'{m:.1f}' for m in memory)}")
    if onnx:
        beside(model.plan, folder, count)


class Stream:
    """Somebody who says one test string after another."""

    def __init__(self, model: runtime.Recogniser, recordings: list, expected: list, first: int) -> None:
        self.model, self.recordings, self.expected, self.at = model, recordings, expected, first % len(recordings)
        self.wrong = self.finished = 0
        self.begin()

    def begin(self) -> None:
        self.stream, self.heard, self.text = self.model.stream(), 0, ""

    def hear(self) -> None:
        samples = self.recordings[self.at]
        found = self.stream.push(samples[self.heard : self.heard + PIECE])
        self.heard += PIECE
        if self.heard >= len(samples):
            found += self.stream.finish()
        self.text += "".join(label.text for label in found)
        if self.heard >= len(samples):
            self.finished += 1
            self.wrong += self.text != self.expected[self.at]
            self.at = (self.at + 1) % len(self.recordings)
            self.begin()


def rss() -> float:
    """Resident memory in MiB now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def beside(plan, folder: str, count: int) -> None:
    """ONNX Runtime on the same 100 ms pieces, from features: the filter bank is not in its time."""
    from karussell.serve.onnx import export_transcriber, session
    from karussell.serve.onnx_transcriber import begin

    made = export_transcriber(plan, Path(folder) / "stream.onnx", stream=True)
    run = session(made.path.read_bytes()).run
    frames, last = 10, np.asarray([0])
    for batch in (1, count):
        x = np.random.default_rng(0).standard_normal((frames, batch, plan.bank.bands), np.float32)
        state, times = begin(plan, batch), []
        names = ["h", "c", *(n for n in state if n not in ("h", "c"))]
        for k in range(300):
            piece = np.concatenate([x, x]) if k == 0 else x
            started = time.perf_counter()
            _, *new = run(None, {"features": piece, "last": last, **state})
            times.append(time.perf_counter() - started)
            state = dict(zip(names, new, strict=True))
        each = 1000 * float(np.median(times[20:])) / batch
        print(f"ONNX Runtime, {batch} stream(s) a call: {each:.3f} ms a stream and piece, filter bank not counted")
    stream, samples, times = runtime.LiveStream(runtime.load(folder).engine), np.zeros(PIECE, np.float32), []
    for k in range(300):
        samples = np.random.default_rng(k).standard_normal(PIECE).astype(np.float32) * 0.1
        started = time.perf_counter()
        stream.push(samples)
        times.append(time.perf_counter() - started)
    print(f"karussell.runtime, 1 stream a call: {1000 * float(np.median(times[20:])):.3f} ms, filter bank included")


if __name__ == "__main__":
    words = sys.argv[1:]
    main(words[0], int((words[1:] or ["100"])[0]), float((words[2:] or ["30"])[0]), "onnx" in words)
