"""The protocol of loggers, and what they receive."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, Self

from trainers.fit.plan import TrainPlan
from trainers.save.record import Origin
from trainers.save.run_folder import RunRecord

__all__ = ["LoggedRun", "Logger", "scalars"]

_AXIS: Final = "step"


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """What a logger learns about a run before the first step."""

    folder: Path
    """Folder of the run; a logger writes into a folder of its own name there."""
    step: int
    """Steps that were done before."""
    config: Mapping[str, Any]
    """Plan, origin of the rows and their address as plain data; no storage options, and nothing of the environment."""

    @classmethod
    def of(cls, folder: Path, step: int, plan: TrainPlan, origin: Origin, record: RunRecord) -> Self:
        """Return what a logger may know."""
        config = {"source": record.source, "origin": origin.model_dump(mode="json"), **plan.model_dump(mode="json")}
        return cls(folder, step, config)


class Logger(Protocol):
    """Receives the metrics of one run, in the order of its steps."""

    package: ClassVar[str]
    """What must be installed."""

    def start(self, run: LoggedRun) -> int:
        """Begin, or continue where the run was stopped; return the last step that need not be given again."""
        ...

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Receive the metrics of a step."""
        ...

    def flush(self) -> None:
        """Make sure that a kill loses nothing: a checkpoint is written next."""
        ...

    def finish(self, result: Mapping[str, float] | None) -> None:
        """End: with the result of the run, or without if it was stopped or failed."""
        ...


def scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers of a line of metrics but the step, those of sites as ``name/site``.

    Examples
    --------
    >>> scalars({"step": 3, "loss": 0.5, "dead": None, "evaluated_on": "valid", "l0_per_site": {"embed": 2}})
    {'loss': 0.5, 'l0_per_site/embed': 2.0}
    """
    return {name: value for name, value in _numbers(metrics) if name != _AXIS and math.isfinite(value)}


def _numbers(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", float(value)
