"""Threads that share the blocks of a batch; torch operations use one thread each."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable, Iterator

import torch

__all__ = ["BlockWorkers"]


class BlockWorkers:
    """Runs blocks of work in as many threads as torch would use.

    torch's own threads wait for each other at the end of every operation. If cores are shared, they wait for a thread
    that is not running: on two busy cores, a gather of one batch became fifty times slower. Here each thread takes the
    next block when it has finished one, and only the end of the batch is waited for.

    Parameters
    ----------
    threads
        None for ``torch.get_num_threads()``; with one, work is done by the caller.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._count = torch.get_num_threads() if threads is None else threads
        self._rounds: queue.SimpleQueue[_Round | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._stop: Callable[[], object] = lambda: None

    @property
    def count(self) -> int:
        """Threads that run blocks at the same time; each has a number below this."""
        return self._count

    def run(self, blocks: int, work: Callable[[int, int], None]) -> None:
        """Call ``work(block, thread)`` for every block, and return when all are done; an error ends it.

        Only one caller at a time.
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
        """End the threads; another `run` starts new ones. Threads of unreferenced workers end without this call."""
        self._stop()
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _start(self) -> None:
        """Start the threads, and limit torch to one thread in each of them, and in no other thread."""
        setting = torch.get_num_threads()
        alone = threading.Barrier(self._count + 1)
        rounds: queue.SimpleQueue[_Round | None] = queue.SimpleQueue()
        threads: list[threading.Thread] = []
        try:
            for number in range(self._count):
                thread = threading.Thread(
                    target=_serve, args=(rounds, alone, number), name="actstore-gather", daemon=True
                )
                thread.start()
                threads.append(thread)
            alone.wait()
        except BaseException:
            alone.abort()
            for thread in threads:
                thread.join()
            raise
        finally:
            # torch keeps the setting for each thread, and one for threads that it has not seen yet.
            torch.set_num_threads(setting)
        self._rounds, self._threads = rounds, threads
        self._stop = weakref.finalize(self, _end, rounds, len(threads))


def _serve(rounds: queue.SimpleQueue[_Round | None], alone: threading.Barrier, number: int) -> None:
    torch.set_num_threads(1)
    torch.get_num_threads()  # a thread takes the common setting when it first needs one: now, while that is 1
    try:
        alone.wait()
    except threading.BrokenBarrierError:
        return
    while (round_ := rounds.get()) is not None:
        round_.take_part(number)
        round_ = None


def _end(rounds: queue.SimpleQueue[_Round | None], threads: int) -> None:
    for _ in range(threads):
        rounds.put(None)


class _Round:
    """The blocks of one batch."""

    def __init__(self, blocks: Iterator[int], work: Callable[[int, int], None]) -> None:
        self._blocks = blocks
        self._work = work
        self.ended = threading.Semaphore(0)
        """Number of threads that found no block left."""
        self.error: BaseException | None = None

    def take_part(self, thread: int) -> None:
        try:
            # One iterator for all threads: the interpreter gives each block to one thread.
            for block in self._blocks:
                if self.error is not None:
                    break
                self._work(block, thread)
        except BaseException as raised:  # noqa: BLE001 - raised again in the caller's thread, by run()
            self.error = raised
        finally:
            self.ended.release()
