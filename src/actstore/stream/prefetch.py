"""Load fills in threads, one ahead of the consumer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from actstore.errors import StreamError
from actstore.stream.order import Fill
from actstore.stream.stages import FillStage, Job, LoadedFill

__all__ = ["FillFetcher"]

_CLOSE_S: Final = 1.0
"""Seconds that `close` waits for running reads; longer reads end later, without the stream."""


class FillFetcher:
    """Loads one fill while the previous one is consumed.

    At most two fills are held: when the consumer takes one, the next is begun and the previous one is released.
    `take` raises an error of a thread at once, also while other threads are running. It also ends at once on `close`.

    Parameters
    ----------
    stage
        Loads the fills.
    threads
        Jobs that run at the same time.
    """

    def __init__(self, stage: FillStage, *, threads: int) -> None:
        self._stage = stage
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="actstore-fetch")
        self._changed = threading.Condition()
        self._loading: _Loading | None = None
        self._held: LoadedFill | None = None
        self._running = 0
        """Jobs that are running, also those of abandoned fills."""
        self._closed = False
        self._stage_open = True
        self.wait_s = 0.0
        """Seconds that `take` spent waiting."""

    def start(self, plan: Callable[[], Fill]) -> None:
        """Begin to compute and load a fill; only one at a time."""
        with self._changed:
            self._refuse_if_closed()
            if self._loading is not None:
                raise RuntimeError("start() while a fill is being loaded")
            loading = self._loading = _Loading()
            self._submit(loading, lambda: self._begin(loading, plan))

    def take(self) -> LoadedFill:
        """Wait for the started fill and return it; the fill taken before is released.

        Raises
        ------
        StreamError
            If the fetcher is closed meanwhile.
        StoreError
            Any exception of a read.
        """
        began = time.perf_counter()
        with self._changed:
            loading = self._loading
            if loading is None:
                self._refuse_if_closed()
                raise RuntimeError("take() without start()")
            self._changed.wait_for(lambda: self._closed or loading.error is not None or not loading.jobs_left)
            self.wait_s += time.perf_counter() - began
            self._refuse_if_closed()
            if loading.error is not None:
                self._give_up()
                raise loading.error
            if loading.loaded is None:
                raise RuntimeError("a fill without jobs was not begun")
            self._loading = None
            self._release_held()
            self._held = loading.loaded
            return loading.loaded

    def cancel(self) -> None:
        """Abandon the fill being loaded and release the fill taken; running reads end later."""
        with self._changed:
            self._give_up()
            self._release_held()

    def close(self) -> None:
        """Stop. A consumer that waits in `take` gets `StreamError`. No row may be in use after this."""
        with self._changed:
            self._closed = True
            self._give_up()
            self._held = None
            self._changed.notify_all()
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._changed.wait_for(lambda: not self._running, timeout=_CLOSE_S)
        self._close_stage()

    def _begin(self, loading: _Loading, plan: Callable[[], Fill]) -> None:
        fill = plan()
        with self._changed:
            if loading.abandoned:
                return
            loading.loaded, jobs = self._stage.begin(fill)
            for job in jobs:
                self._submit(loading, job)

    def _submit(self, loading: _Loading, job: Job) -> None:
        loading.jobs_left += 1
        self._pool.submit(self._do, loading, job)

    def _do(self, loading: _Loading, job: Job) -> None:
        with self._changed:
            if loading.abandoned:
                return
            self._running += 1
        error = None
        try:
            job()
        except BaseException as raised:  # noqa: BLE001 - raised again in the consumer's thread, by take()
            error = raised
        with self._changed:
            self._running -= 1
            loading.jobs_left -= 1
            loading.error = loading.error or error
            self._changed.notify_all()
        if self._closed:
            self._close_stage()

    def _give_up(self) -> None:
        if self._loading is not None:
            self._loading.abandoned = True
            if self._loading.loaded is not None:
                self._stage.discard(self._loading.loaded)
            self._loading = None

    def _release_held(self) -> None:
        """Release a consumed fill, unless another thread has closed the stage."""
        held, self._held = self._held, None
        if held is not None:
            self._stage.release(held)

    def _close_stage(self) -> None:
        with self._changed:
            last = not self._running and self._stage_open
            self._stage_open &= not last
        if last:
            self._stage.close()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise StreamError("this stream is closed; open it again")


class _Loading:
    """A fill that is being loaded."""

    def __init__(self) -> None:
        self.loaded: LoadedFill | None = None
        self.jobs_left = 0
        self.error: BaseException | None = None
        self.abandoned = False
