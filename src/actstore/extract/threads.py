"""Threads in which torch operations use one thread each."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import Final, Self, TypeVar

import torch

__all__ = ["LoneThreads"]

_AHEAD: Final = 2
"""Items begun for each thread, so that no thread waits for the caller."""
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class LoneThreads:
    """As many threads as torch would use for one operation; each runs its own operations.

    torch's own threads wait for each other at the end of every operation. If cores are shared, for example with the
    encoding of the previous task, they wait for a thread that is not running. On two busy cores the same forward passes
    took 3 to 9 times as long (docs/decisions/0012). So one thread does a forward pass, and several passes run at the
    same time. The bits of a pass do not depend on the number of cores.

    Parameters
    ----------
    threads
        None for ``torch.get_num_threads()``.
    """

    def __init__(self, threads: int | None = None) -> None:
        setting = torch.get_num_threads()
        count = setting if threads is None else threads
        self._most_ahead = _AHEAD * count
        self._pool = ThreadPoolExecutor(count, "actstore-task")
        alone = threading.Barrier(count + 1)
        try:
            for _ in range(count):
                self._pool.submit(_alone, alone)
            alone.wait()
        except BaseException:
            alone.abort()
            self.close()
            raise
        finally:
            # torch keeps the setting for each thread, and one for threads that it has not seen yet.
            torch.set_num_threads(setting)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def map(self, function: Callable[[_Item], _Result], items: Iterable[_Item], /) -> Iterator[_Result]:
        """Apply a function to every item, as `contracts.ParallelMap`; several callers share the threads.

        Only a few items are begun ahead of the results that were taken. So the work stops when the caller stops, and
        callers share the threads fairly.
        """
        ahead: deque[Future[_Result]] = deque()
        left = iter(items)
        try:
            while True:
                for item in islice(left, self._most_ahead - len(ahead)):
                    ahead.append(self._pool.submit(function, item))
                if not ahead:
                    return
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()

    def close(self) -> None:
        """End the threads after their current items."""
        self._pool.shutdown(cancel_futures=True)


def _alone(all_there: threading.Barrier) -> None:
    torch.set_num_threads(1)
    torch.get_num_threads()  # a thread takes the common setting when it first needs one: now, while that is 1
    all_there.wait()
