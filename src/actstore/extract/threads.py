"""Threads that each do whole operations of torch alone."""

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
"""Items begun for each thread, so that none waits for the caller."""
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class LoneThreads:
    """As many threads as torch would use for one operation, each of which does its own.

    torch's own threads wait for each other at the end of every operation. Where cores are shared, if only with the
    encoding of the task before, that wait is for a thread that is not running: measured on two busy cores, the same
    forward passes took 3 to 9 times as long (docs/decisions/0012). So a forward pass is one thread's, and several
    are under way; and its bits do not depend on the number of cores.

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
            # The setting is kept for each thread, but also for threads that torch has not seen yet.
            torch.set_num_threads(setting)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def map(self, function: Callable[[_Item], _Result], items: Iterable[_Item], /) -> Iterator[_Result]:
        """Apply a function to every item, as `contracts.ParallelMap`; several callers share the threads.

        Only a few items are begun ahead of the results that were taken, so that whoever stops taking them stops the
        work, and callers get the threads in turn.
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
        """End the threads, once what they are doing is done."""
        self._pool.shutdown(cancel_futures=True)


def _alone(all_there: threading.Barrier) -> None:
    torch.set_num_threads(1)
    torch.get_num_threads()  # a thread takes the common setting when it first needs one: now, while that is 1
    all_there.wait()
