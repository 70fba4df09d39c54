"""Threads that share the blocks of a batch, each doing whole operations of torch alone."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterator

import torch

__all__ = ["BlockWorkers"]


class BlockWorkers:
    """Runs blocks of work in as many threads as torch would use.

    torch's own threads wait for each other at the end of every operation. Where cores are shared that wait is for a
    thread that is not running: measured on two busy cores, a gather of one batch became fifty times slower. Here each
    thread takes the next block when it is done with one, and nothing is waited for but the end of the batch.

    Parameters
    ----------
    threads
        None for ``torch.get_num_threads()``; with one, work is done by the caller.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._count = torch.get_num_threads() if threads is None else threads
        self._rounds: queue.SimpleQueue[_Round | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    @property
    def count(self) -> int:
        """Threads that run blocks at the same time; each has a number below this."""
        return self._count

    def run(self, blocks: int, work: Callable[[int, int], None]) -> None:
        """Call ``work(block, thread)`` for every block, and return when all are done; an error ends it.

        One caller at a time.
        """
        if self._count == 1 or blocks == 1:
            for block in range(blocks):
                work(block, 0)
            return
        if not self._threads:
            self._start()
        round_ = _Round(iter(range(blocks)), work)
        for _ in self._threads:
            self._rounds.put(round_)
        for _ in self._threads:
            round_.ended.acquire()
        if round_.error is not None:
            raise round_.error

    def close(self) -> None:
        """End the threads; another `run` would start new ones."""
        for _ in self._threads:
            self._rounds.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _start(self) -> None:
        """Start the threads, and have each of them, but nobody else, keep torch to one thread."""
        setting = torch.get_num_threads()
        alone = threading.Barrier(self._count + 1)
        numbers = itertools.count()
        for _ in range(self._count):
            thread = threading.Thread(target=self._serve, args=(alone, next(numbers)), name="actstore-gather")
            thread.daemon = True
            thread.start()
            self._threads.append(thread)
        alone.wait()
        # The setting is kept for each thread, but also for threads that torch has not seen yet.
        torch.set_num_threads(setting)

    def _serve(self, alone: threading.Barrier, number: int) -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # a thread takes the common setting when it first needs one: now, while that is 1
        alone.wait()
        while (round_ := self._rounds.get()) is not None:
            round_.take_part(number)


class _Round:
    """The blocks of one batch."""

    def __init__(self, blocks: Iterator[int], work: Callable[[int, int], None]) -> None:
        self._blocks = blocks
        self._work = work
        self.ended = threading.Semaphore(0)
        """Counts the threads that found no block left."""
        self.error: BaseException | None = None

    def take_part(self, thread: int) -> None:
        try:
            # One iterator for all threads: the interpreter hands each block out once.
            for block in self._blocks:
                self._work(block, thread)
        except BaseException as raised:  # noqa: BLE001 - raised again in the caller's thread, by run()
            self.error = raised
            self._blocks = iter(())
        finally:
            self.ended.release()
