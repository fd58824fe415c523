"""Other people's decoders behind a pipe: they need an environment of their own (`tools/peers.sh`)."""

import json
import os
import subprocess
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from karussell.bench import ctc_worker
from karussell.errors import EngineError

VARIABLE = "KARUSSELL_CTC_PEERS"


def python() -> Path | None:
    """The interpreter of the peers' environment, if it was made: $KARUSSELL_CTC_PEERS, else build/ctc-peers."""
    folder = os.environ.get(VARIABLE) or Path(__file__).parents[3] / "build" / "ctc-peers"
    found = Path(folder) / "bin" / "python"
    return found if found.exists() else None


class Worker:
    """One decoder in a process of its own, that works only while it is asked."""

    def __init__(self, asked: dict[str, Any], log_probs: np.ndarray) -> None:
        """Make the decoder that `asked` names; log_probs [N, T, K] float32."""
        interpreter = python()
        assert interpreter is not None
        with tempfile.NamedTemporaryFile() as file:
            np.ascontiguousarray(log_probs, np.float32).tofile(file.name)
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                [str(interpreter), str(ctc_worker.__file__)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
            weakref.finalize(self, self._process.kill)
            self._ask({"make": {**asked, "log_probs": file.name, "shape": list(log_probs.shape)}})

    def text(self, utterance: int) -> str:
        """Decode an utterance."""
        return str(self._ask({"run": utterance})["text"])

    def megabytes(self) -> float:
        """The most memory its process ever had."""
        return float(self._ask({})["megabytes"])

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        pipe_in.write(json.dumps(asked) + "\n")
        pipe_in.flush()
        line = pipe_out.readline()
        answer = json.loads(line) if line else {"error": "its process ended"}
        if "error" in answer:
            raise EngineError(f"a peer of the bench failed: {answer['error']}")
        return dict(answer)
