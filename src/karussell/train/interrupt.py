"""Ctrl-C between two steps instead of inside one, so that what is saved is whole."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupt:
    """While active, the first Ctrl-C only sets `asked`; the second interrupts at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None
        # only the main thread may have signal handlers; elsewhere Ctrl-C is the main thread's business
        self._active = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        if self._active:
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._active:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
