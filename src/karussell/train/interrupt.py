"""Ctrl-C and SIGTERM between two steps instead of inside one, so that what is saved is whole."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM), as schedulers and shutdowns ask."""


class Interrupt:
    """While active, the first Ctrl-C or SIGTERM only sets `asked`; the second interrupts at once."""

    def __init__(self) -> None:
        self.asked = False
        self._kind: type[KeyboardInterrupt] = KeyboardInterrupt
        self._before: dict[int, Any] = {}
        # only the main thread may have signal handlers; elsewhere Ctrl-C is the main thread's business
        self._active = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        if self._active:
            self._before = {n: signal.signal(n, self._ask) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def stop(self) -> KeyboardInterrupt:
        """The exception of what was asked."""
        return self._kind()

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._active:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self._kind = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if self.asked:
            raise self.stop()
        self.asked = True
