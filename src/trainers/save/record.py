"""The record of a checkpoint: `checkpoint.json`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from actstore import Manifest, errors
from trainers.fit.health import HealthRecord
from trainers.fit.plan import TrainPlan

__all__ = [
    "CHECKPOINT_FORMAT",
    "CheckpointRecord",
    "Origin",
    "SiteRecord",
    "describe_origin",
    "differences",
    "refuse_other_version",
    "software",
]

CHECKPOINT_FORMAT: Final = "actstore-checkpoint/2"

_LEAST_SCALE: Final = torch.finfo(torch.float32).tiny
_MOST_SCALE: Final = torch.finfo(torch.float32).max

_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class SiteRecord(_Record):
    """One site that the dictionary reads."""

    name: str
    module: str
    """Path of the module in the model, as in `named_modules()`."""
    width: int = Field(ge=1)


class Origin(_Record):
    """Origin of the rows: enough to refuse another store, model or site, even if its shapes fit."""

    manifest_sha256: _Digest
    encoding: str
    model: str
    model_revision: str | None
    model_dtype: str
    weights_sha256: str
    sites: tuple[SiteRecord, ...]
    """In the order of the dictionary's site axis."""


class CheckpointRecord(_Record):
    """Contents of `checkpoint.json`."""

    format: Literal["actstore-checkpoint/2"] = CHECKPOINT_FORMAT
    plan: TrainPlan
    origin: Origin
    step: int = Field(ge=0, le=1 << 62)
    rows: int = Field(ge=0, le=1 << 62)
    cursor: dict[str, Any]
    """Position of the stream, from `Cursor.to_json`."""
    input_scale: tuple[Annotated[float, Field(ge=_LEAST_SCALE, le=_MOST_SCALE)], ...]
    """Factor of each site: the dictionary's inputs are ``input_scale[s] * x[:, s]``, its weights are not folded."""
    variance: float = Field(gt=0)
    """Mean squared distance of the scaled rows of the store from their mean, summed over sites."""
    health: HealthRecord | None = None
    """By which a resumed run notices that it falls apart; None in checkpoints of versions that did not keep it."""
    software: dict[str, str]
    files: dict[str, _Digest]
    """SHA-256 of the files beside this one."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not len(self.plan.sites) == len(self.origin.sites) == len(self.input_scale):
            raise ValueError(
                f"{len(self.plan.sites)} sites in the plan, {len(self.origin.sites)} in the origin, "
                f"{len(self.input_scale)} input scales"
            )
        if self.plan.kept is not None and self.plan.kept > self.plan.latents:
            raise ValueError(f"{self.plan.kept} of {self.plan.latents} latents cannot be kept")
        return self


def describe_origin(manifest: Manifest, sites: Sequence[str]) -> Origin:
    """Return where the rows of the given sites come from."""
    by_name = {site.name: site for site in manifest.sites}
    return Origin(
        manifest_sha256=manifest.digest,
        encoding=manifest.encoding,
        model=manifest.model.name,
        model_revision=manifest.model.revision,
        model_dtype=manifest.model.dtype,
        weights_sha256=manifest.model.weights_sha256,
        sites=tuple(SiteRecord(name=name, module=by_name[name].module, width=by_name[name].width) for name in sites),
    )


def software() -> dict[str, str]:
    """Return the software versions that a result may depend on."""
    return {"actstore": version("actstore"), "torch": torch.__version__}


def refuse_other_version(error: ValidationError, file: Path, *, wanted: str) -> None:
    """Say so if the format of a record is what is wrong with it; raises `CheckpointError`."""
    if any(each["loc"] == ("format",) for each in error.errors(include_input=False, include_url=False)):
        raise errors.CheckpointError(
            f"{file}: its format is not {wanted}: an older or newer version of the trainer wrote it, with another "
            "objective or schedule; use that version for it, or train again"
        ) from error


def differences(saved: BaseModel, wanted: BaseModel, *, ignored: Collection[str] = ()) -> Iterator[str]:
    """Name each field that differs, with both values."""
    before, now = saved.model_dump(mode="json"), wanted.model_dump(mode="json")
    for field in now:
        if field not in ignored and before[field] != now[field]:
            yield f"{field}: {before[field]!r} in the checkpoint, {now[field]!r} now"
