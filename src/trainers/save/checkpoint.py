"""Checkpoints: a folder with weights, optimiser state and a record, complete or absent.

::

    step-000001000/
      dictionary.safetensors   W_enc, b_enc, W_dec, b_dec, and what else the dictionary has
      optimizer.safetensors    W_enc.exp_avg, W_enc.exp_avg_sq, W_enc.step, ..., idle_rows
      checkpoint.json          plan, origin, cursor, counters, digests of the two files

A checkpoint is written beside its predecessors and renamed when it is on disk; only then the oldest is removed. So
a run that is killed at any moment has a checkpoint that loads.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import torch
from pydantic import ValidationError
from torch import Tensor

from actstore import Cursor, errors
from trainers.dictionaries.dictionary import Dictionary
from trainers.fit.extend import OF_LENGTH
from trainers.fit.health import HealthRecord
from trainers.fit.initialise import build_optimizer
from trainers.fit.plan import TrainPlan
from trainers.fit.state import TrainState
from trainers.save.files import file_sha256, flush_to_disk, refuse_link, save_tensors
from trainers.save.record import (
    CHECKPOINT_FORMAT,
    CheckpointRecord,
    Origin,
    differences,
    refuse_other_version,
    software,
)
from trainers.save.tensors import check_tensors, on_cpu, read_tensors, shown

__all__ = [
    "Checkpoint",
    "checkpoint_bytes",
    "checkpoints_of",
    "copy_checkpoint",
    "load_dictionary",
    "newest_checkpoint",
    "read_checkpoint",
    "read_record",
    "resume_state",
    "write_checkpoint",
]

RECORD: Final = "checkpoint.json"
WEIGHTS: Final = "dictionary.safetensors"
OPTIMIZER: Final = "optimizer.safetensors"
_MOST_RECORD_BYTES: Final = 1 << 24
_RECORD_BYTES: Final = 1 << 14
"""Room for `checkpoint.json` and the headers of the two other files."""
_IDLE_ROWS: Final = "idle_rows"
_ADAM: Final = ("step", "exp_avg", "exp_avg_sq")
_FOLDER: Final = re.compile(r"step-(\d+)")
_LEFTOVER: Final = re.compile(r"\.step-\d+(\.partial|\.doomed)(\.doomed)*")
"""Names of folders that a killed run was writing or removing."""


class Checkpoint(NamedTuple):
    """A checkpoint as read, with digests checked."""

    path: Path
    record: CheckpointRecord
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]

    @property
    def cursor(self) -> Cursor:
        """Position of the stream."""
        return Cursor.from_json(self.record.cursor)


def write_checkpoint(
    root: Path,
    state: TrainState,
    *,
    plan: TrainPlan,
    origin: Origin,
    cursor: Cursor,
    keep: int = 1,
    health: HealthRecord | None = None,
) -> Path:
    """Write a checkpoint of `state` under `root`, remove all but the last ones, and return its folder.

    Parameters
    ----------
    keep
        How many to keep.
    health
        How sound training is: the newest checkpoint up to its last good step is kept as well.
    """
    path = root / f"step-{state.step:09d}"
    partial = root / f".{path.name}.partial"
    refuse_link(root)
    root.mkdir(parents=True, exist_ok=True)
    _discard(partial)
    partial.mkdir()
    try:
        save_tensors(partial / WEIGHTS, on_cpu(state.dictionary.state_dict()))
        save_tensors(partial / OPTIMIZER, on_cpu(_optimizer_tensors(state)))
        record = CheckpointRecord(
            plan=plan,
            origin=origin,
            step=state.step,
            rows=state.rows,
            cursor=cursor.to_json(),
            input_scale=tuple(state.scale_S.double().tolist()),
            variance=state.variance,
            health=health,
            software=software(),
            files={name: file_sha256(partial / name) for name in (WEIGHTS, OPTIMIZER)},
        )
        (partial / RECORD).write_text(record.model_dump_json(indent=2) + "\n")
        _publish(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)  # a full disk has room again
        raise
    _remove_old(root, keep=keep, good_step=None if health is None else health.last_good_step)
    return path


def copy_checkpoint(path: Path, root: Path) -> Path:
    """Copy a checkpoint into another folder of checkpoints; a kill at any moment leaves all of it or none."""
    partial = root / f".{path.name}.partial"
    _discard(partial)
    partial.mkdir()
    try:
        for name in (WEIGHTS, OPTIMIZER, RECORD):
            shutil.copyfile(path / name, partial / name)
        _publish(partial, root / path.name)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return root / path.name


def checkpoint_bytes(plan: TrainPlan) -> int:
    """Return the bytes of a checkpoint: weights, two moments of each, idle rows, and some for headers and record."""
    with torch.device("meta"):
        weights = sum(parameter.numel() for parameter in plan.build().parameters())
    return 3 * 4 * weights + 8 * plan.latents + _RECORD_BYTES


def checkpoints_of(root: Path) -> dict[int, Path]:
    """Return the folders of the complete checkpoints under `root` by their step, oldest first."""
    if not root.is_dir():
        return {}
    steps = {int(match[1]): path for path in root.iterdir() if (match := _FOLDER.fullmatch(path.name))}
    return dict(sorted(steps.items()))


def newest_checkpoint(root: Path) -> Path | None:
    """Return the folder of the checkpoint with the most steps, or None."""
    return next(reversed(checkpoints_of(root).values()), None)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and check it against its digests.

    Raises
    ------
    CheckpointError
        If a file is missing, truncated, malformed or not the saved one.
    """
    record = read_record(path)
    return Checkpoint(
        path,
        record,
        *(read_tensors(path / name, record.files.get(name), said_by=RECORD) for name in (WEIGHTS, OPTIMIZER)),
    )


def resume_state(checkpoint: Checkpoint, *, plan: TrainPlan, origin: Origin, device: torch.device) -> TrainState:
    """Return the saved state; training continues exactly as if it had never stopped.

    Raises
    ------
    CheckpointError
        If it was saved with another plan (a longer or shorter one that starts again here is allowed) or rows of another
        origin; the message lists every difference.
    """
    record = checkpoint.record
    another_length = plan.steps != record.plan.steps and plan.restart_rows == record.rows
    changed = [
        *differences(record.plan, plan, ignored=OF_LENGTH if another_length else ()),
        *differences(record.origin, origin),
    ]
    if changed:
        raise errors.CheckpointError(
            f"{checkpoint.path}: made by another run, so it cannot be resumed: {'; '.join(changed)}. "
            "Give the same options, or another --out"
        )
    dictionary = _restore_dictionary(checkpoint, device)
    optimizer = build_optimizer(dictionary, plan, variance=record.variance)
    expected = {_IDLE_ROWS: torch.empty(plan.latents, dtype=torch.int64)}
    if record.step:
        for name, parameter in dictionary.named_parameters():
            expected |= {f"{name}.{part}": parameter for part in _ADAM[1:]}
            expected[f"{name}.step"] = torch.empty((), dtype=torch.float32)
    check_tensors(checkpoint.path / OPTIMIZER, checkpoint.optimizer, expected)
    if record.step:
        for name, parameter in dictionary.named_parameters():
            optimizer.state[parameter] = {
                part: _laid_as(parameter, checkpoint.optimizer[f"{name}.{part}"].to(device)) for part in _ADAM
            }
    return TrainState(
        dictionary=dictionary,
        optimizer=optimizer,
        scale_S=torch.tensor(record.input_scale, dtype=torch.float32, device=device),
        variance=record.variance,
        idle_rows_F=checkpoint.optimizer[_IDLE_ROWS].to(device),
        step=record.step,
        rows=record.rows,
    )


def load_dictionary(path: Path, *, device: str | torch.device = "cpu") -> tuple[Dictionary, CheckpointRecord]:
    """Return the dictionary of a checkpoint and what it was trained on.

    Its inputs are rows times ``record.input_scale``; weights are not folded.

    Raises
    ------
    CheckpointError
        If the checkpoint is damaged.
    """
    checkpoint = read_checkpoint(path)
    return _restore_dictionary(checkpoint, torch.device(device)).eval(), checkpoint.record


def read_record(path: Path) -> CheckpointRecord:
    """Read the record of a checkpoint, without its tensors; raises as `read_checkpoint`."""
    try:
        with (path / RECORD).open("rb") as file:
            data = file.read(_MOST_RECORD_BYTES + 1)
        if len(data) > _MOST_RECORD_BYTES:
            raise errors.CheckpointError(f"{path / RECORD}: more than {_MOST_RECORD_BYTES:,} bytes; this is no record")
        return CheckpointRecord.model_validate_json(data, strict=True)
    except (FileNotFoundError, NotADirectoryError) as error:
        kept = {} if path.exists() else checkpoints_of(path.parent)
        others = f"; {path.parent} has {', '.join(each.name for each in kept.values())}" if kept else ""
        raise errors.CheckpointError(f"{path}: no {RECORD}; this is not a checkpoint{others}") from error
    except OSError as error:
        raise errors.CheckpointError(f"{path / RECORD}: cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        refuse_other_version(error, path / RECORD, wanted=CHECKPOINT_FORMAT)
        first = error.errors(include_input=False)[0]
        where = shown(".".join(str(part) for part in first["loc"]))
        raise errors.CheckpointError(f"{path / RECORD}: {where}: {shown(first['msg'])}") from error


def _restore_dictionary(checkpoint: Checkpoint, device: torch.device) -> Dictionary:
    plan = checkpoint.record.plan
    try:
        with torch.device("meta"):  # allocate nothing for the sizes in the record before the weights confirm them
            claimed = plan.build()
    except (TypeError, ValueError) as error:
        raise errors.CheckpointError(f"{checkpoint.path / RECORD}: {error}") from error
    check_tensors(checkpoint.path / WEIGHTS, checkpoint.weights, claimed.state_dict())
    dictionary = plan.build()
    dictionary.load_state_dict(dict(checkpoint.weights))
    return dictionary.to(device)


def _laid_as(parameter: Tensor, moment: Tensor) -> Tensor:
    """Return a moment in the memory order of its parameter: the fused optimiser pairs numbers by their places there."""
    return torch.empty_like(parameter).copy_(moment) if moment.shape == parameter.shape else moment


def _optimizer_tensors(state: TrainState) -> dict[str, Tensor]:
    tensors = {_IDLE_ROWS: state.idle_rows_F}
    for name, parameter in state.dictionary.named_parameters():
        tensors |= {f"{name}.{part}": value for part, value in state.optimizer.state[parameter].items()}
    return tensors


def _publish(partial: Path, path: Path) -> None:
    """Give a written checkpoint its name, once it is on disk."""
    for file in partial.iterdir():
        flush_to_disk(file)
    flush_to_disk(partial)
    _discard(path)
    partial.rename(path)
    flush_to_disk(path.parent)


def _remove_old(root: Path, *, keep: int, good_step: int | None) -> None:
    saved = checkpoints_of(root)
    kept = set(list(saved)[-keep:])
    if good_step is not None:
        kept |= set([step for step in saved if step <= good_step][-1:])
    names = {saved[step] for step in kept}
    for other in root.iterdir():
        if other not in names and (_FOLDER.fullmatch(other.name) or _LEFTOVER.fullmatch(other.name)):
            _discard(other)


def _discard(folder: Path) -> None:
    """Remove a folder; a kill at any moment leaves nothing that looks like a checkpoint. Of a link, only the link."""
    if folder.is_symlink():
        folder.unlink()
        return
    if not folder.exists():
        return
    doomed = folder.with_name(f".{folder.name.lstrip('.')}.doomed")
    if doomed.is_symlink():
        doomed.unlink()
    shutil.rmtree(doomed, ignore_errors=True)
    folder.rename(doomed)
    shutil.rmtree(doomed)
