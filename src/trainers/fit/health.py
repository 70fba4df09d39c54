"""Notice a run that falls apart: its explained variance was good, and is lost."""

from __future__ import annotations

import math
import statistics
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Health", "HealthRecord"]

_LEAST_WINDOW: Final = 20
_MOST_WINDOW: Final = 200
_SHARE: Final = 0.05
"""Steps of a window, as a share of the run."""
_WORTH_LOSING: Final = 0.2
"""A run whose explained variance never reached this has nothing to lose yet."""
_LOST: Final = 0.1
"""A run that keeps less than this share of its best explained variance has fallen apart."""
_GOOD: Final = 0.5


class HealthRecord(BaseModel):
    """What a resumed run must know of its health: kept in each checkpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    best: float | None
    """The best median so far; None before the first stretch is complete."""
    last_good_step: int = Field(ge=0, le=1 << 62)
    recent: tuple[float, ...] = Field(default=(), max_length=_MOST_WINDOW)
    """Explained variance of the steps since the last stretch was complete."""


class Health:
    """Compares the median explained variance of stretches of steps; a spike that recovers within one does not count.

    Parameters
    ----------
    steps
        Steps of the run.
    before
        Health of the run up to here; None for a new run.

    Examples
    --------
    >>> health = Health(steps=400)
    >>> for step in range(1, 201):
    ...     health.add(step, 0.8 if step <= 100 else -3.0)
    >>> health.last_good_step
    100
    >>> health.fallen
    (0.8, -3.0)
    """

    def __init__(self, *, steps: int, before: HealthRecord | None = None) -> None:
        self.window = max(_LEAST_WINDOW, min(_MOST_WINDOW, round(_SHARE * steps)))
        """Steps of a stretch."""
        self._explained = [] if before is None else list(before.recent)
        self.best = None if before is None else before.best
        """The best median; None before the first stretch is complete."""
        self.last_good_step = 0 if before is None else before.last_good_step
        """The last step at which the run was still sound, by its explained variance."""
        self.fallen: tuple[float, float] | None = None
        """Best and present explained variance of a run that has fallen apart; None for one that has not."""

    @property
    def record(self) -> HealthRecord:
        """What a resumed run begins with."""
        recent = tuple(value for value in self._explained if math.isfinite(value))
        return HealthRecord(best=self.best, last_good_step=self.last_good_step, recent=recent)

    def add(self, step: int, explained_variance: float | None) -> None:
        """Take notice of a step; one without explained variance tells nothing."""
        if explained_variance is None:
            return
        if self._is_good(explained_variance):
            self.last_good_step = step
        self._explained.append(explained_variance)
        if len(self._explained) < self.window:
            return
        median, best = statistics.median(self._explained), self.best
        if best is not None and best >= _WORTH_LOSING and not median >= _LOST * best:
            self.fallen = (best, median)
        if best is None or median > best:
            self.best = median
        self._explained.clear()

    def _is_good(self, explained_variance: float) -> bool:
        if self.best is None:  # nothing to compare with yet
            return math.isfinite(explained_variance)
        return explained_variance >= (_GOOD * self.best if self.best > 0 else self.best)
