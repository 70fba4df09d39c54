"""Metrics as JSON lines, consistent with the checkpoints beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from actstore import errors
from trainers.save.files import open_to_append, replace_file, writing_to

__all__ = ["MetricsLog", "drop_lines_after", "read_metrics"]


class MetricsLog:
    """Appends one JSON object a line.

    Parameters
    ----------
    path
        Created if absent. A symbolic link is refused.
    """

    def __init__(self, path: Path) -> None:
        with writing_to(path.parent):
            self._file = open_to_append(path)

    def append(self, metrics: dict[str, Any]) -> None:
        """Add a line; values must be finite."""
        self._file.write((json.dumps(metrics, allow_nan=False) + "\n").encode())

    def flush_to_disk(self) -> None:
        """Wait until all lines are on disk: call it before a checkpoint that needs them."""
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def drop_lines_after(path: Path, step: int) -> None:
    """Remove the lines of steps after `step`, and an incomplete last line of a killed run.

    Raises
    ------
    CheckpointError
        If another line is not a JSON object with a step.
    """
    if not path.exists():
        return
    kept = []
    lines = path.read_text().splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        if number == len(lines) and not line.endswith("\n"):
            break
        try:
            line_step = int(json.loads(line)["step"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise errors.CheckpointError(
                f"{path}, line {number}: not a JSON object with a step; move the file away to resume without it"
            ) from error
        if line_step <= step:
            kept.append(line)
    replace_file(path, "".join(kept).encode())


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a file that `drop_lines_after` has checked; none if there is no file."""
    if path.exists():
        with path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)
