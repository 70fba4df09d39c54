"""The folder of a run: `checkpoints/`, `metrics.jsonl`, `result.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actstore import errors
from trainers.save.checkpoint import newest_checkpoint
from trainers.save.files import replace_file, writing_to

__all__ = ["RunFolder"]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder with the files of one run."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints; its existence marks the folder as the folder of a run."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """JSON lines, one for each logged step."""
        return self.path / "metrics.jsonl"

    @property
    def result(self) -> Path:
        """Report of the finished run."""
        return self.path / "result.json"

    def check(self, *, resume: bool) -> None:
        """Refuse early what `begin` or a resume would refuse; nothing is written.

        Raises
        ------
        CheckpointError
            If the folder holds a run; with `resume`, if it holds none.
        """
        if resume:
            self.newest_checkpoint()
        elif self.checkpoints.exists():
            raise errors.CheckpointError(self._describe_occupant())

    def begin(self) -> None:
        """Claim the folder for a new run.

        Raises
        ------
        CheckpointError
            If the folder holds a run.
        """
        with writing_to(self.path):
            try:
                self.checkpoints.mkdir(parents=True)
            except FileExistsError as error:
                raise errors.CheckpointError(self._describe_occupant()) from error

    def newest_checkpoint(self) -> Path | None:
        """Return the checkpoint to resume from; None if the run was stopped before its first checkpoint.

        Raises
        ------
        CheckpointError
            If the folder holds no run.
        """
        if not self.checkpoints.is_dir():
            raise errors.CheckpointError(f"{self.path}: no run to resume; leave out --resume to begin one")
        return newest_checkpoint(self.checkpoints)

    def write_result(self, document: dict[str, Any]) -> None:
        """Write `result.json`, complete or not at all."""
        with writing_to(self.path):
            replace_file(self.result, (json.dumps(document, indent=2, allow_nan=False) + "\n").encode())

    def _describe_occupant(self) -> str:
        state = "a finished run" if self.result.exists() else "an unfinished run"
        newest = newest_checkpoint(self.checkpoints)
        at = f" (newest checkpoint {newest.name})" if newest else ""
        return (
            f"{self.path}: the folder holds {state}{at} and nothing is overwritten; "
            "continue it with --resume, or give another --out"
        )
