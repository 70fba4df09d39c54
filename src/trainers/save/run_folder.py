"""The folder of a run: `run.json`, `checkpoints/`, `metrics.jsonl`, `result.json`, and folders of loggers."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from actstore import enclosing_store, errors
from trainers.fit.config import TrainConfig
from trainers.save.checkpoint import checkpoints_of, newest_checkpoint
from trainers.save.files import refuse_link, replace_file, writing_to
from trainers.save.latents import LatentCounts, write_latents
from trainers.save.record import refuse_other_version

__all__ = ["RunFolder", "RunRecord", "claim_new_folder"]

RUN_FORMAT: Final = "actstore-run/2"
_MOST_RECORD_BYTES: Final = 1 << 20
_OF_LOGGERS: Final = ("tensorboard", "wandb", ".wandb")
"""Folders of loggers; W&B takes the last if it exists."""


class RunRecord(BaseModel):
    """Contents of `run.json`: what the user asked for, so that a resumed run needs no option again."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    format: Literal["actstore-run/2"] = RUN_FORMAT
    source: str | None
    """Path or URL of the rows; None if the URL held credentials, which are never written."""
    config: TrainConfig
    """What to train."""
    options: dict[str, Any]
    """Fields of `RunOptions`, without the folder and without storage options, which may be secret."""


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
    def record(self) -> Path:
        """What the user asked for."""
        return self.path / "run.json"

    @property
    def result(self) -> Path:
        """Report of the finished run."""
        return self.path / "result.json"

    @property
    def latents(self) -> Path:
        """How often each latent fired, beside the report."""
        return self.path / "latents.safetensors"

    @property
    def failure(self) -> Path:
        """Why the run stopped without a result, in words; a later result removes it."""
        return self.path / "failure.json"

    def check_free(self) -> None:
        """Refuse early what `begin` would refuse; nothing is written.

        Raises
        ------
        CheckpointError
            If the folder holds a run.
        UsageError
            If it is in the folder of a store.
        TrainingError
            If its folder of checkpoints, its metrics, or a folder of a logger are a symbolic link.
        """
        self.refuse_links()
        if self.checkpoints.exists():
            raise errors.CheckpointError(self._describe_occupant())
        self.refuse_store()

    def refuse_store(self) -> None:
        """Refuse a folder in that of a store; raises `UsageError`."""
        if (store := enclosing_store(self.path)) is not None:
            raise errors.UsageError(
                f"{self.path}: lies in the store {store}, which holds activations and nothing else; "
                "give an --out outside of it"
            )

    def refuse_links(self) -> None:
        """Refuse a folder of checkpoints, metrics or loggers that is a symbolic link; raises `TrainingError`."""
        with writing_to(self.path):
            for path in (self.checkpoints, self.metrics, *(self.path / name for name in _OF_LOGGERS)):
                refuse_link(path)

    def begin(self, record: RunRecord) -> None:
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
        self.write_record(record)

    def write_record(self, record: RunRecord) -> None:
        """Write `run.json`, complete or not at all."""
        with writing_to(self.path):
            replace_file(self.record, (record.model_dump_json(indent=2) + "\n").encode())

    def read_record(self) -> RunRecord:
        """Return what the user asked for when the run began.

        Raises
        ------
        CheckpointError
            If the folder holds no run, or its record is damaged.
        TrainingError
            As `refuse_links`.
        """
        self.refuse_links()
        try:
            with self.record.open("rb") as file:
                data = file.read(_MOST_RECORD_BYTES + 1)
            if len(data) > _MOST_RECORD_BYTES:
                raise errors.CheckpointError(f"{self.record}: more than {_MOST_RECORD_BYTES:,} bytes; this is no run")
            return RunRecord.model_validate_json(data)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise errors.CheckpointError(
                f"{self.path}: no run to resume, since it has no {self.record.name}; --resume takes the folder of a "
                "run, or one of its checkpoints"
            ) from error
        except OSError as error:
            raise errors.CheckpointError(f"{self.record}: cannot be read: {error.strerror or error}") from error
        except ValidationError as error:
            refuse_other_version(error, self.record, wanted=RUN_FORMAT)
            first = error.errors(include_input=False, include_url=False)[0]
            where = ascii(".".join(str(part) for part in first["loc"])[:200])[1:-1]
            raise errors.CheckpointError(f"{self.record}: {where}: {ascii(first['msg'][:200])[1:-1]}") from error

    def last_good_checkpoint(self, step: int | None) -> Path | None:
        """Return the newest checkpoint at or before a step; None if there is none, or no step was good."""
        if step is None:
            return None
        good = [path for saved, path in checkpoints_of(self.checkpoints).items() if saved <= step]
        return good[-1] if good else None

    def newest_checkpoint(self) -> Path | None:
        """Return the checkpoint to resume from; None if the run was stopped before its first checkpoint."""
        return newest_checkpoint(self.checkpoints)

    def write_result(self, document: dict[str, Any], counts: LatentCounts | None = None) -> None:
        """Write `result.json`, complete or not at all, and before it how often each latent fired."""
        with writing_to(self.path):
            if counts is not None:
                write_latents(self.latents, counts)
            replace_file(self.result, (json.dumps(document, indent=2, allow_nan=False) + "\n").encode())
            self.failure.unlink(missing_ok=True)

    def write_failure(self, step: int, reason: str) -> None:
        """Write why the run stopped, complete or not at all."""
        with writing_to(self.path):
            replace_file(self.failure, (json.dumps({"step": step, "reason": reason}, indent=2) + "\n").encode())

    def read_result(self) -> dict[str, Any] | None:
        """Return the report of the finished run; None if it has not finished. Raises `CheckpointError` if damaged."""
        return _read_document(self.result)

    def read_failure(self) -> str | None:
        """Return why the run stopped; None if it did not. Raises `CheckpointError` if the file is damaged."""
        document = _read_document(self.failure)
        return None if document is None else str(document.get("reason", "unknown"))

    def _describe_occupant(self) -> str:
        state = "a finished run" if self.result.exists() else "an unfinished run"
        newest = newest_checkpoint(self.checkpoints)
        at = f" (newest checkpoint {newest.name})" if newest else ""
        return (
            f"{self.path}: the folder holds {state}{at} and nothing is overwritten; "
            f"continue it with --resume {self.path}, or give another --out"
        )


def _read_document(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_RECORD_BYTES + 1)
        document = json.loads(data)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise errors.CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise errors.CheckpointError(f"{path}: not JSON; resume the run, which writes it again") from error
    if not isinstance(document, dict):
        raise errors.CheckpointError(f"{path}: not a JSON object; resume the run, which writes it again")
    return document


def claim_new_folder(path: Path) -> Path:
    """Make a folder that did not exist before, with a number after its name if need be; return its path.

    Runs that begin in the same second, as a sweep may, get different folders.
    """
    with writing_to(path):
        for number in itertools.count(1):
            free = path if number == 1 else path.with_name(f"{path.name}-{number}")
            try:
                free.mkdir(parents=True)
            except FileExistsError:
                continue
            return free
    raise RuntimeError("unreachable")
