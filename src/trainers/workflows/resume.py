"""What to do, from the options of now and, if a run is resumed, from those with which it began."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from actstore import errors, without_secrets
from trainers.fit.config import TrainConfig
from trainers.fit.plan import TrainPlan
from trainers.save.checkpoint import copy_checkpoint, read_record
from trainers.save.files import writing_to
from trainers.save.metrics_log import drop_lines_after
from trainers.save.record import CheckpointRecord
from trainers.save.run_folder import RunFolder, RunRecord
from trainers.workflows.options import RunOptions

__all__ = [
    "Asked",
    "SavedRun",
    "command_to_resume",
    "prepare_folder",
    "read_options",
    "settle",
    "with_absolute_paths",
]

_SITES: Final = "sites"
_TARGETS: Final = "targets"
_FIXED_OPTIONS: Final = ("live", "recipe_options", "allow_incomplete")
"""Options that decide which rows there are."""
_NOT_KEPT: Final = {"out", "resume", "storage_options"}
_RESOLVED: Final = {
    "latents": "latents_each",
    "k": "kept_each",
    "sparsity": "sparsity",
    "lr": "lr",
    _SITES: "read",
    _TARGETS: "written",
}
"""Fields of the configuration, and where the plan has their value if they were not given."""


@dataclass(frozen=True, slots=True)
class SavedRun:
    """A run to go on with."""

    folder: RunFolder
    checkpoint: Path | None
    """Where to go on; None for a run that was stopped before its first checkpoint."""
    record: CheckpointRecord | None
    """Its record."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Everything that a run begins with."""

    source: str | os.PathLike[str]
    config: TrainConfig
    options: RunOptions
    saved: SavedRun | None
    """The run to go on with; None for a new one."""

    @property
    def elsewhere(self) -> bool:
        """Whether a saved run goes on in another folder, so that the old one stays as it is."""
        if self.saved is None or self.options.out is None:
            return False
        return self.options.out.resolve() != self.saved.folder.path.resolve()

    @property
    def record(self) -> RunRecord:
        """What to write into the folder of the run."""
        options = self.options.model_dump(mode="json", exclude=_NOT_KEPT)
        return RunRecord(source=_kept_source(self.source), config=self.config, options=options)


def settle(source: str | os.PathLike[str] | None, config: TrainConfig | None, options: RunOptions | None) -> Asked:
    """Return what to do. A resumed run takes from its folder what is not given.

    Raises
    ------
    UsageError
        If no source is given; if an option is given that decides the result and differs from that of the run.
    CheckpointError
        If there is no run to resume.
    """
    config, options = with_absolute_paths(config or TrainConfig()), options or RunOptions()
    if options.resume is None:
        if source is None:
            raise errors.UsageError("nothing to train on: give a store, or --resume with the folder of a run")
        return Asked(source, config, options, saved=None)
    saved = _find(options.resume)
    begun = saved.folder.read_record()
    if source is None:
        if begun.source is None:
            raise errors.UsageError(
                f"{saved.folder.path}: the address of its rows held credentials and was not kept; give it again"
            )
        source = begun.source
    before = read_options(saved.folder.record, begun.options)
    _refuse_changes(saved, begun.config, config, before, options)
    asked = Asked(source, _continued(begun.config, config, saved.record), _merged(before, options, saved), saved)
    newest = saved.folder.newest_checkpoint()
    if not asked.elsewhere and newest is not None and saved.checkpoint != newest:
        raise errors.CheckpointError(
            f"{saved.checkpoint}: the run has a newer checkpoint, {newest.name}, which would be lost; resume from the "
            "folder of the run, or go on from the older one in another folder with --out"
        )
    return asked


def command_to_resume(folder: Path, options: RunOptions, *, processes: int = 1) -> str:
    """Return the command line that goes on with a run; `processes` are those of each machine."""
    name = "online" if options.live == "online" else "read-from-store"
    again = " (and the same --storage-option)" if options.storage_options else ""
    program = "trainer" if processes == 1 else f"torchrun --nproc-per-node {processes} -m trainers"
    return f"{program} {name} --resume {shlex.quote(str(folder))}{again}"


def prepare_folder(folder: RunFolder, saved: SavedRun | None, record: RunRecord, *, step: int) -> None:
    """Claim the folder of a new run; put into that of a resumed one what it goes on with, up to a step.

    Raises
    ------
    CheckpointError
        If the folder holds another run.
    TrainingError
        If the folder cannot be written.
    """
    if saved is not None and saved.folder.path.resolve() == folder.path.resolve():
        folder.write_record(record)
    else:
        folder.begin(record)
        if saved is not None:
            _copy(saved, folder)
    with writing_to(folder.path):
        drop_lines_after(folder.metrics, step)


def _copy(saved: SavedRun, folder: RunFolder) -> None:
    """Put the checkpoint and the metrics of a run into the folder in which it goes on."""
    with writing_to(folder.path):
        if saved.checkpoint is not None:
            copy_checkpoint(saved.checkpoint, folder.checkpoints)
        if saved.folder.metrics.exists():
            shutil.copyfile(saved.folder.metrics, folder.metrics)


def _find(path: Path) -> SavedRun:
    """Return the run of a folder, at its newest checkpoint, or the run of a checkpoint."""
    if path.name.startswith("step-") and path.parent.name == "checkpoints":
        folder = RunFolder(path.parent.parent)
        checkpoint: Path | None = folder.checkpoints / path.name
    else:
        folder = RunFolder(path)
        folder.read_record()  # says what is wrong if this is no run
        checkpoint = folder.newest_checkpoint()
    return SavedRun(folder, checkpoint, None if checkpoint is None else read_record(checkpoint))


def read_options(file: Path, document: Mapping[str, Any]) -> RunOptions:
    """Return the options that a record holds; raises `CheckpointError` if they are none."""
    try:
        return RunOptions.model_validate(dict(document))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ascii(".".join(str(part) for part in first["loc"])[:200])[1:-1]
        raise errors.CheckpointError(f"{file}: options.{where}: {first['msg']}") from error


def _refuse_changes(
    saved: SavedRun, before: TrainConfig, now: TrainConfig, before_options: RunOptions, now_options: RunOptions
) -> None:
    plan = None if saved.record is None else saved.record.plan
    changed = [
        f"{_flag(field)}: {_text(getattr(before, field), plan, field)} in the run, {getattr(now, field)!r} now"
        for field in now.model_fields_set - {"steps"}
        if getattr(now, field) not in _same(before, plan, field)
    ]
    for field in _FIXED_OPTIONS:
        was, given = _plain(getattr(before_options, field)), _plain(getattr(now_options, field))
        if field in now_options.model_fields_set and given != was:
            changed.append(f"{_flag(field)}: {was!r} in the run, {given!r} now")
    if changed:
        raise errors.UsageError(
            f"{saved.folder.path}: a resumed run keeps the options that decide its result: "
            f"{'; '.join(sorted(changed))}. Leave them out, or begin a new run without --resume"
        )


def _same(before: TrainConfig, plan: TrainPlan | None, field: str) -> list[Any]:
    """Return the values of an option that mean what the run does already."""
    resolved = [getattr(plan, _RESOLVED[field])] if plan is not None and field in _RESOLVED else []
    return [getattr(before, field), *resolved]


def _text(value: object, plan: TrainPlan | None, field: str) -> str:
    if value is None and plan is not None and field in _RESOLVED:
        return repr(getattr(plan, _RESOLVED[field]))
    return repr(value)


def _continued(before: TrainConfig, now: TrainConfig, record: CheckpointRecord | None) -> TrainConfig:
    """Return the configuration of the run, with its steps as they were, or as they are given."""
    if "steps" in now.model_fields_set:
        steps = now.steps
    elif before.steps is None and record is not None:
        steps = record.plan.steps
    else:
        steps = before.steps  # the last that was asked for, also if there is no checkpoint since
    return before.model_copy(update={"steps": steps})


def _merged(before: RunOptions, now: RunOptions, saved: SavedRun) -> RunOptions:
    given = {field: getattr(now, field) for field in now.model_fields_set}
    return before.model_copy(update=given | {"out": now.out or saved.folder.path})


def with_absolute_paths(config: TrainConfig) -> TrainConfig:
    """Return a configuration that means the same in another folder."""
    if config.labels is None:
        return config
    return config.model_copy(update={"labels": str(Path(config.labels).absolute())})


def _kept_source(source: str | os.PathLike[str]) -> str | None:
    text = os.fspath(source)
    if Path(text).exists():
        return str(Path(text).absolute())
    return text if without_secrets(text) == text else None


def _flag(field: str) -> str:
    return {_SITES: "--site", _TARGETS: "--target", "live": "the source of the rows"}.get(
        field, "--" + field.replace("_", "-")
    )


def _plain(value: object) -> object:
    """Return a value of which nothing is left that was not given."""
    if isinstance(value, Mapping):
        return {name: one for name, one in value.items() if one is not None} or None
    return value
