"""Check before training that the disk can hold the checkpoints of a run."""

from __future__ import annotations

import shutil
from pathlib import Path

from actstore import errors
from trainers.fit.plan import TrainPlan
from trainers.save.checkpoint import checkpoint_bytes, checkpoints_of
from trainers.save.run_folder import RunFolder

__all__ = ["check_room"]


def check_room(folder: RunFolder, plan: TrainPlan, *, keep: int, checkpoint_every: int) -> None:
    """Refuse a run whose checkpoints do not fit.

    One more than the kept checkpoints is on the disk while it is written. Checkpoints that are there already have their
    room.

    Raises
    ------
    TrainingError
        If the disk has too little room.
    """
    written = -(-plan.steps // checkpoint_every)
    at_once = min(keep + 1, written)
    one = checkpoint_bytes(plan)
    needed = max(1, at_once - len(checkpoints_of(folder.checkpoints))) * one
    free = shutil.disk_usage(_existing(folder.path)).free
    if needed > free:
        fewer = "" if keep == 1 or written == 1 else "keep fewer with --keep 1, "
        raise errors.TrainingError(
            f"{folder.path}: no room for the checkpoints of this run: {at_once} of {one:,} bytes each "
            f"(one more than is kept while it is written) need {needed:,} bytes, and {free:,} are free; "
            f"free space, {fewer}or give another --out"
        )


def _existing(path: Path) -> Path:
    """Return the nearest folder that exists."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
