"""The folder of a sweep: `sweep.json`, the folders of its members, and `result.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from actstore import errors
from trainers.fit.config import TrainConfig
from trainers.save.files import replace_file, writing_to
from trainers.save.record import refuse_other_version
from trainers.save.run_folder import RunFolder

__all__ = ["MEMBER_NAME", "RESERVED_NAMES", "SweepFolder", "SweepRecord"]

SWEEP_FORMAT: Final = "actstore-sweep/1"
MEMBER_NAME: Final = r"^[A-Za-z0-9_+-][A-Za-z0-9_.+-]{0,99}$"
"""What the name of a member, and so of its folder, is made of."""
RESERVED_NAMES: Final = frozenset({"sweep.json", "result.json"})
"""Files of the sweep itself."""
_MOST_RECORD_BYTES: Final = 1 << 24


class SweepRecord(BaseModel):
    """Contents of `sweep.json`: what the user asked for, so that a resumed sweep needs no file again."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    format: Literal["actstore-sweep/1"] = SWEEP_FORMAT
    source: str | None
    """Path or URL of the rows; None if the URL held credentials, which are never written."""
    manifest_sha256: str
    """Digest of the manifest of the store."""
    members: dict[Annotated[str, StringConstraints(pattern=MEMBER_NAME)], TrainConfig]
    """By the name of their folder."""
    options: dict[str, Any]
    """Fields of `RunOptions`, without the folder and without storage options, which may be secret."""


@dataclass(frozen=True, slots=True)
class SweepFolder:
    """The folder with the runs of one sweep."""

    path: Path

    @property
    def record(self) -> Path:
        """What the user asked for; its existence marks the folder as that of a sweep."""
        return self.path / "sweep.json"

    @property
    def result(self) -> Path:
        """Report of the finished sweep."""
        return self.path / "result.json"

    def member(self, name: str) -> RunFolder:
        """Return the folder of a member: that of a run."""
        return RunFolder(self.path / name)

    def check_free(self, members: Mapping[str, TrainConfig]) -> None:
        """Refuse a folder with runs that are not of this sweep; nothing is written.

        Raises
        ------
        CheckpointError
            If the folder, or that of a member, holds a run.
        UsageError
            If it is in the folder of a store.
        """
        RunFolder(self.path).check_free()
        taken = [name for name in members if self.member(name).checkpoints.exists()]
        if taken:
            raise errors.CheckpointError(
                f"{self.path}: has runs of another sweep or of none: {', '.join(taken)} (there is no "
                f"{self.record.name}); nothing is overwritten, so give another --out"
            )

    def write_record(self, record: SweepRecord) -> None:
        """Write `sweep.json`, complete or not at all; make the folder if need be."""
        with writing_to(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            replace_file(self.record, (record.model_dump_json(indent=2) + "\n").encode())

    def read_record(self) -> SweepRecord:
        """Return what the user asked for when the sweep began.

        Raises
        ------
        CheckpointError
            If the folder holds no sweep, or its record is damaged.
        """
        try:
            with self.record.open("rb") as file:
                data = file.read(_MOST_RECORD_BYTES + 1)
            if len(data) > _MOST_RECORD_BYTES:
                raise errors.CheckpointError(f"{self.record}: more than {_MOST_RECORD_BYTES:,} bytes; this is no sweep")
            return SweepRecord.model_validate_json(data)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise errors.CheckpointError(
                f"{self.path}: no sweep to go on with, since it has no {self.record.name}"
            ) from error
        except OSError as error:
            raise errors.CheckpointError(f"{self.record}: cannot be read: {error.strerror or error}") from error
        except ValidationError as error:
            refuse_other_version(error, self.record, wanted=SWEEP_FORMAT)
            first = error.errors(include_input=False, include_url=False)[0]
            where = ascii(".".join(str(part) for part in first["loc"])[:200])[1:-1]
            raise errors.CheckpointError(f"{self.record}: {where}: {ascii(first['msg'][:200])[1:-1]}") from error

    def write_result(self, document: Mapping[str, Any]) -> None:
        """Write `result.json`, complete or not at all."""
        with writing_to(self.path):
            replace_file(self.result, (json.dumps(document, indent=2, allow_nan=False) + "\n").encode())
