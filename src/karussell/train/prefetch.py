"""Batches prepared ahead by one thread, in order, so that preparing and computing overlap."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Batch = TypeVar("Batch")


def ahead(batches: Sequence[Batch], start: int, depth: int) -> Iterator[Batch]:
    """`batches[start:]` in order, up to `depth` of them made in advance; a batch depends on its index alone."""
    if depth == 0:
        for index in range(start, len(batches)):
            yield batches[index]
        return
    pool = ThreadPoolExecutor(1, thread_name_prefix="karussell-batches")
    try:
        waiting: deque[Future[Batch]] = deque()
        for index in range(start, len(batches)):
            waiting.append(pool.submit(batches.__getitem__, index))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
