"""Train several dictionaries on the rows of a store, which is read once for as many as fit into memory."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from actstore import Progress, Silent, errors
from trainers.fit.config import TrainConfig
from trainers.workflows.device import choose_device
from trainers.workflows.options import RunOptions
from trainers.workflows.ranks import Ranks
from trainers.workflows.resume import Asked, read_options
from trainers.workflows.room import free_room, room_needed
from trainers.workflows.rows import Rows, open_rows
from trainers.workflows.rows_plan import plan_rows
from trainers.workflows.sweeps.file import read_sweep
from trainers.workflows.sweeps.folder import SweepFolder, SweepRecord
from trainers.workflows.sweeps.outcomes import Outcome, train_pass
from trainers.workflows.sweeps.passes import Pass, plan_passes

__all__ = ["PlannedPass", "SweepResult", "default_sweep_folder", "sweep"]

_MOST_NAME: Final = 40


class PlannedPass(NamedTuple):
    """One reading of the store."""

    members: tuple[str, ...]
    sites: tuple[str, ...]
    bytes: int
    """Estimated memory."""


class SweepResult(NamedTuple):
    """Report of a sweep."""

    out: str
    source: str | None
    """Where the rows are; None if the address held credentials."""
    passes: tuple[PlannedPass, ...]
    finished: int
    """Members that have a result."""
    failed: dict[str, str]
    """Why a member has no result, or a useless one, by its name."""
    members: dict[str, dict[str, Any]]
    """The result of each member that has one, as in its `result.json`."""

    def document(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return self._asdict() | {"passes": [one._asdict() for one in self.passes]}


@dataclass(frozen=True, slots=True)
class _Asked:
    """Everything that a sweep begins with."""

    source: str | os.PathLike[str]
    members: Mapping[str, TrainConfig]
    options: RunOptions
    folder: SweepFolder
    record: SweepRecord | None
    """Of the sweep to go on with; None for a new one."""


def sweep(
    source: str | os.PathLike[str] | None = None,
    file: str | os.PathLike[str] | None = None,
    options: RunOptions | None = None,
    *,
    memory_bytes: int | None = None,
    progress: Progress | None = None,
    planned: Callable[[Sequence[PlannedPass]], None] | None = None,
) -> SweepResult:
    """Train the dictionaries of a sweep, evaluate them on held-out rows, and save each in a folder of its own.

    Each ends as a separate run of `read_from_store` would with the options of its ``run.json``, to the bit on one
    device. A member whose training diverges stops alone. A folder that holds the same sweep goes on.

    Parameters
    ----------
    source
        Path or URL of a store, or an exported manifest file; a resumed sweep knows it.
    file
        The members, in TOML; a resumed sweep knows them.
    options
        Device, folder, memory and access. `out` is the folder of the sweep, and `resume` the folder of one to go on
        with.
    memory_bytes
        Most memory of the members that are trained together; None for four fifths of what is free.
    progress
        Where to report; None for no report.
    planned
        Called with the passes before anything is trained.

    Raises
    ------
    UsageError
        If the file is no sweep, or a member does not fit the store.
    CheckpointError
        If the folder holds runs of something else.
    TrainingError
        If a member does not fit into memory, the checkpoints do not fit on the disk, or a folder cannot be written.
    Stopped
        After Ctrl-C or SIGTERM in the main thread, with a checkpoint of each member that has begun.
    """
    progress = progress or Silent()
    asked = _settle(source, file, options or RunOptions())
    device = _device(asked.options)
    first = next(iter(asked.members.values()))
    with open_rows(plan_rows(asked.source, first, asked.options, device=device), progress) as rows:
        record = _record(asked, rows)
        passes = plan_passes(asked.members, rows, asked.options, device=device, memory_bytes=memory_bytes)
        _check_room(asked, passes)
        shown = tuple(map(_describe, passes))
        if planned is not None:
            planned(shown)
        asked.folder.write_record(record)
        outcomes: dict[str, Outcome] = {}
        for number, one in enumerate(passes, start=1):
            title = "training" if len(passes) == 1 else f"pass {number} of {len(passes)}"
            outcomes |= train_pass(one, asked.folder, title=title, device=device, progress=progress)
    result = _describe_sweep(asked, record, shown, outcomes)
    asked.folder.write_result(result.document())
    return result


def _device(options: RunOptions) -> torch.device:
    """Return the device of a sweep, which trains in one process and takes one pass for one update.

    Raises
    ------
    UsageError
        If options ask for something that a sweep does not do.
    """
    if options.log:
        raise errors.UsageError(
            "a sweep passes no metrics to loggers; each member has metrics.jsonl, and 'trainer report' compares them"
        )
    if (ranks := Ranks.of_environment()).several:
        raise errors.UsageError(
            f"WORLD_SIZE={ranks.size}: a sweep trains in one process; start it without torchrun, or train one "
            "dictionary with torchrun -m trainers read-from-store"
        )
    if options.accumulate > 1:
        raise errors.UsageError(
            f"accumulate = {options.accumulate}: members of a sweep take one pass for one update; leave it out"
        )
    return choose_device(options.device)


def default_sweep_folder(source: str | os.PathLike[str], file: str | os.PathLike[str]) -> Path:
    """Return ``runs/<store>-<file>``: the same command finds the sweep that it began.

    Examples
    --------
    >>> default_sweep_folder("s3://bucket/esm2-8m?token=hush", "sweeps/k.toml").as_posix()
    'runs/esm2-8m-k'
    """
    # Only the path of a URL, and of that the last part: the rest may hold credentials.
    text = re.split(r"[?#]", os.fspath(source))[0].rstrip("/") if "://" in os.fspath(source) else os.fspath(source)
    path = Path(text).absolute()
    store = (path.stem if path.suffix == ".json" else path.name)[:_MOST_NAME]
    return Path("runs") / re.sub(r"[^\w.-]", "_", f"{store}-{Path(file).stem[:_MOST_NAME]}")


def _settle(source: str | os.PathLike[str] | None, file: str | os.PathLike[str] | None, options: RunOptions) -> _Asked:
    """Return what to do; a sweep that goes on takes from its folder what is not given."""
    if options.live is not None:
        raise errors.UsageError("a sweep reads the rows of a store; extract them first with 'actstore extract'")
    members = None if file is None else read_sweep(Path(file))
    if options.resume is not None:
        if options.out is not None and options.out.resolve() != options.resume.resolve():
            raise errors.UsageError("a sweep goes on in its own folder; give --resume or --out, or both the same")
        folder = SweepFolder(options.resume)
        record: SweepRecord | None = folder.read_record()
    elif source is None or file is None:
        raise errors.UsageError("give a store and the file of a sweep (TOML), or --resume with the folder of a sweep")
    else:
        folder = SweepFolder(options.out or default_sweep_folder(source, file))
        record = folder.read_record() if folder.record.exists() else None
    if record is None:
        folder.check_free(members or {})
        return _Asked(source or "", members or {}, options, folder, None)
    if members is not None and members != record.members:
        raise errors.CheckpointError(
            f"{folder.path}: holds another sweep than {file}: {'; '.join(_changes(record.members, members))}. Give "
            "another --out, or leave out the file to go on with the sweep as it was"
        )
    source = source if source is not None else record.source
    if source is None:
        raise errors.UsageError(
            f"{folder.path}: the address of its rows held credentials and was not kept; give it again"
        )
    before = read_options(folder.record, record.options)
    given = {field: getattr(options, field) for field in options.model_fields_set}
    return _Asked(source, record.members, before.model_copy(update=given), folder, record)


def _changes(before: Mapping[str, TrainConfig], now: Mapping[str, TrainConfig]) -> list[str]:
    """Say what distinguishes two sweeps."""
    said = [f"{name} is only in {where}" for name, where in _alone(before, now)]
    for name in before.keys() & now.keys():
        was, given = before[name].model_dump(), now[name].model_dump()
        said += [
            f"{name}: {field} is {was[field]!r} there, {given[field]!r} here"
            for field in was
            if was[field] != given[field]
        ]
    return said[:10]


def _alone(before: Mapping[str, TrainConfig], now: Mapping[str, TrainConfig]) -> list[tuple[str, str]]:
    return [
        *((name, "the folder") for name in before if name not in now),
        *((name, "the file") for name in now if name not in before),
    ]


def _record(asked: _Asked, rows: Rows) -> SweepRecord:
    """Return what to write into the folder; refuse rows of another store than those with which the sweep began."""
    first = Asked(asked.source, next(iter(asked.members.values())), asked.options, saved=None).record
    digest = rows.origin.digest
    if asked.record is not None and asked.record.manifest_sha256 != digest:
        raise errors.CheckpointError(
            f"{asked.folder.path}: holds a sweep on the store with manifest {asked.record.manifest_sha256[:12]}..., "
            f"and {os.fspath(asked.source)} has {digest[:12]}...; give another --out"
        )
    return SweepRecord(source=first.source, manifest_sha256=digest, members=dict(asked.members), options=first.options)


def _check_room(asked: _Asked, passes: Sequence[Pass]) -> None:
    """Refuse a sweep whose checkpoints do not fit on the disk."""
    keep, every = asked.options.keep, asked.options.checkpoint_every
    needed = sum(
        room_needed(asked.folder.member(member.name), member.plan, keep=keep, checkpoint_every=every)
        for one in passes
        for member in one.members
    )
    if needed > (free := free_room(asked.folder.path)):
        raise errors.TrainingError(
            f"{asked.folder.path}: no room for the checkpoints of {len(asked.members)} dictionaries: they need "
            f"{needed:,} bytes, and {free:,} are free; free space, keep fewer with --keep 1, or give another --out"
        )


def _describe(one: Pass) -> PlannedPass:
    sites = tuple(dict.fromkeys(site for member in one.members for site in member.plan.sites))
    return PlannedPass(tuple(member.name for member in one.members), sites, one.bytes)


def _describe_sweep(
    asked: _Asked, record: SweepRecord, passes: tuple[PlannedPass, ...], outcomes: Mapping[str, Outcome]
) -> SweepResult:
    return SweepResult(
        out=str(asked.folder.path),
        source=record.source,
        passes=passes,
        finished=sum(one.result is not None for one in outcomes.values()),
        failed={name: why for name in asked.members if (why := outcomes[name].failure) is not None},
        members={name: found for name in asked.members if (found := outcomes[name].result) is not None},
    )
