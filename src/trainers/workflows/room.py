"""Check before training that the disk can hold the checkpoints of a run."""

from __future__ import annotations

import shutil
from pathlib import Path

from actstore import errors
from trainers.fit.plan import TrainPlan
from trainers.save.checkpoint import checkpoint_bytes, checkpoints_of
from trainers.save.run_folder import RunFolder

__all__ = ["check_room", "free_room", "room_needed"]


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
    needed = room_needed(folder, plan, keep=keep, checkpoint_every=checkpoint_every)
    free = free_room(folder.path)
    if needed > free:
        fewer = "" if keep == 1 or written == 1 else "keep fewer with --keep 1, "
        raise errors.TrainingError(
            f"{folder.path}: no room for the checkpoints of this run: {at_once} of {one:,} bytes each "
            f"(one more than is kept while it is written) need {needed:,} bytes, and {free:,} are free; "
            f"free space, {fewer}or give another --out"
        )


def room_needed(folder: RunFolder, plan: TrainPlan, *, keep: int, checkpoint_every: int) -> int:
    """Return the bytes of the checkpoints that a run has at once, beside those that are there."""
    at_once = min(keep + 1, -(-plan.steps // checkpoint_every))
    return max(1, at_once - len(checkpoints_of(folder.checkpoints))) * checkpoint_bytes(plan)


def free_room(path: Path) -> int:
    """Return the free bytes of the disk on which a folder is, or will be."""
    return shutil.disk_usage(_existing(path)).free


def _existing(path: Path) -> Path:
    """Return the nearest folder that exists."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
