"""`karussell predict DIR --live`: what is being said, while it is said."""

import json
import os
import sys
from collections.abc import Iterator

import numpy as np
from jsonargparse import Namespace

from karussell.cli.command import note
from karussell.errors import InputError
from karussell.runtime import Label, load

SPEECH = "transcribe"
SECONDS = 1.0
# a tenth of a second at 8 kHz; a pipe gives less if less is there
_BYTES = 1600


def run_live(given: Namespace) -> int:
    """Hear 16-bit little-endian mono samples on standard input, and print labels as they become certain."""
    if given.files:
        raise InputError("--live hears standard input; leave the files out")
    model = load(given.model)
    stream = model.stream(
        chunk=SECONDS if given.chunk is None else given.chunk, right=SECONDS if given.right is None else given.right
    )
    note(f"hearing 16-bit samples, mono, {model.rate} a second; answers wait {stream.latency:.2f} s at most")
    for block in _blocks(sys.stdin.fileno()):
        _show(stream.push(block), given, model.separator)
    _show(stream.finish(), given, model.separator)
    if not (given.json or given.times):
        print(flush=True)
    return 0


def _blocks(descriptor: int) -> Iterator[np.ndarray]:
    rest = b""
    while data := os.read(descriptor, _BYTES):
        data = rest + data
        # half a sample waits for its other half
        whole = len(data) // 2 * 2
        rest = data[whole:]
        yield np.frombuffer(data[:whole], "<i2").astype(np.float32) / 32768


def _show(labels: list[Label], given: Namespace, separator: str) -> None:
    for label in labels:
        if given.json:
            row = {"text": label.text, "start": round(label.start, 3), "end": round(label.end, 3)}
            print(json.dumps({**row, "confidence": round(label.confidence, 4)}, ensure_ascii=False), flush=True)
        elif given.times:
            print(f"{label.start:9.2f} {label.end:9.2f}  {label.confidence:5.3f}  {label.text}", flush=True)
        else:
            print(label.text, end=separator, flush=True)
