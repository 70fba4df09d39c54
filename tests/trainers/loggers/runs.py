"""Runs for loggers: a few lines of metrics, without a training."""

from pathlib import Path
from typing import Any

from trainers.loggers.logger import LoggedRun

__all__ = ["line", "run_in"]


def run_in(folder: Path, *, step: int = 0) -> LoggedRun:
    return LoggedRun(folder, step, {"dictionary": "topk-sae", "lr": 0.01, "sites": ["embed"]})


def line(step: int) -> dict[str, Any]:
    """A line of metrics."""
    return {"step": step, "rows": 10 * step, "loss": 1.0 / step, "dead": None, "ev_per_site": {"embed": 0.5}}
