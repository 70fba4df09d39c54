"""The protocol by which long work reports progress, independent of the display."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

__all__ = ["Progress", "Silent", "Stage"]


class Stage(Protocol):
    """One stretch of work with a known (or unknown) amount."""

    def advance(self, amount: int, *, note: str = "") -> None:
        """Report that `amount` more units are done, with an optional word on the state."""
        ...


class Progress(Protocol):
    """Receives the stages of a run."""

    def stage(self, title: str, *, total: int | None, unit: str, done: int = 0) -> AbstractContextManager[Stage]:
        """Open a stage; `done` units of it were finished earlier."""
        ...


class Silent:
    """Ignores all reports."""

    def stage(
        self,
        title: str,  # noqa: ARG002 - the protocol's signature
        *,
        total: int | None,  # noqa: ARG002
        unit: str,  # noqa: ARG002
        done: int = 0,  # noqa: ARG002
    ) -> AbstractContextManager[Stage]:
        """Return a stage that ignores its reports."""
        return nullcontext(_SilentStage())


class _SilentStage:
    def advance(self, amount: int, *, note: str = "") -> None:
        """Ignore it."""
