"""All loggers of a run, none of which may end it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

from trainers.loggers.logger import LoggedRun, Logger, scalars
from trainers.loggers.table import LOGGERS

__all__ = ["Loggers"]

_log: Final = logging.getLogger(__name__)


class Loggers:
    """Passes metrics on to loggers. One that fails is left out from then on, with a warning; training goes on.

    Parameters
    ----------
    names
        Keys of `LOGGERS`.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._waiting = list(names)
        self._open: dict[str, Logger] = {}
        self._had: dict[str, int] = {}
        """The last step that a logger had when the run began here."""

    def start(self, run: LoggedRun, history: Iterable[Mapping[str, Any]] = ()) -> None:
        """Begin, before the first step.

        Parameters
        ----------
        run
            The run.
        history
            Lines of metrics of the steps done before: a logger receives those that it has not.
        """
        while self._waiting:
            name = self._waiting.pop(0)
            with self._surviving(name):
                logger = LOGGERS[name]()
                self._had[name] = logger.start(run)
                self._open[name] = logger
        if self._open:
            for metrics in history:
                self.step(metrics)

    def step(self, metrics: Mapping[str, Any]) -> None:
        """Pass on a line of metrics, except to a logger that had the step before the run was resumed."""
        step, values = int(metrics["step"]), scalars(metrics)
        for name, logger in [*self._open.items()]:
            if step > self._had[name]:
                with self._surviving(name):
                    logger.step(step, values)

    def flush(self) -> None:
        """Prepare for a checkpoint."""
        for name, logger in [*self._open.items()]:
            with self._surviving(name):
                logger.flush()

    def finish(self, result: Mapping[str, Any] | None) -> None:
        """End: with the result of the run, or without if it was stopped or failed."""
        values = None if result is None else scalars(result)
        while self._open:
            name, logger = self._open.popitem()
            with self._surviving(name):
                logger.finish(values)

    @contextmanager
    def _surviving(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever a logger meets, the run is worth more
            self._open.pop(name, None)
            _log.warning(
                "warning: --log %s: %s: %s; training goes on without it, and metrics.jsonl has everything",
                name,
                type(error).__name__,
                str(error).partition("\n")[0][:500],
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(None)
