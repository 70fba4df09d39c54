"""Read what the folder of a run says, finished or not; nothing in it is trusted to be what it should be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from actstore import errors
from trainers.fit.config import TrainConfig
from trainers.save.checkpoint import read_record
from trainers.save.latents import LatentCounts, read_latents
from trainers.save.record import CheckpointRecord
from trainers.save.run_folder import RunFolder

__all__ = ["Point", "ReportedResult", "ReportedRun", "read_run"]

_MOST_METRICS_BYTES: Final = 1 << 26
_FAILED: Final = "failed"
_MOST_COUNT: Final = 1 << 62


class ReportedResult(BaseModel):
    """The part of `result.json` that a report shows."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True)

    explained_variance: float | None
    explained_variance_per_site: dict[str, float | None]
    l0: float = Field(ge=0)
    dead_fraction: float | None = Field(ge=0, le=1)
    silent_fraction: float = Field(ge=0, le=1)
    evaluated_on: str
    evaluated_rows: int = Field(ge=1, le=_MOST_COUNT)
    dead_after_rows: int = Field(ge=1, le=_MOST_COUNT)
    rows_per_s: float = Field(ge=0)


class Point(NamedTuple):
    """A moment of training."""

    rows: int
    explained_variance: float | None
    """On held-out rows; None at steps without an evaluation."""
    batch_explained_variance: float | None
    l0: float | None
    dead: float | None
    """Share of the latents."""


class ReportedRun(NamedTuple):
    """A run as its folder tells it."""

    name: str
    path: str
    config: TrainConfig
    source: str | None
    """Path or URL of its rows."""
    record: CheckpointRecord | None
    """Of the newest checkpoint; None before the first."""
    result: ReportedResult | None
    """None for a run that has not finished."""
    failure: str | None
    """Why it stopped."""
    curve: tuple[Point, ...]
    latents: LatentCounts | None
    """None if they were not counted."""

    @property
    def state(self) -> str:
        """`finished`, `failed`, or how far it has come."""
        if self.failure is not None:
            return _FAILED
        if self.result is not None:
            explained = self.result.explained_variance
            return "worse than the mean" if explained is not None and explained < 0 else "finished"
        if self.record is None:
            return "not begun"
        return f"{self.record.step:,} of {self.record.plan.steps:,} steps"

    @property
    def store(self) -> str | None:
        """Digest of the manifest of the store; None if that is not known."""
        return None if self.record is None else self.record.origin.manifest_sha256

    @property
    def sites(self) -> tuple[str, ...]:
        """Sites that it reads, or what was asked for."""
        return (self.config.sites or ("all",)) if self.record is None else self.record.plan.sites

    @property
    def latents_number(self) -> int | None:
        """Dictionary size F; None if it is not known yet."""
        return self.config.latents if self.record is None else self.record.plan.latents

    def settings(self) -> dict[str, Any]:
        """Return what decides the result, each number settled; what is not settled yet is left out."""
        settings = self.config.model_dump(mode="json", exclude={"expansion", "sites", "targets"})
        if self.record is not None:
            plan = self.record.plan
            known = plan.model_dump(mode="json")
            settings = {name: known.get(name, value) for name, value in settings.items()} | {"k": plan.kept}
            settings |= plan.options
        else:
            settings = {name: value for name, value in settings.items() if value is not None}
        settings["order_seed"] = self.config.row_seed
        if self.record is None:
            return {**settings, "sites": ", ".join(self.sites)}
        plan = self.record.plan
        written = {} if plan.writes is None else {"targets": ", ".join(plan.written)}
        return {**settings, "sites": ", ".join(plan.read)} | written


def read_run(folder: RunFolder, *, name: str, config: TrainConfig | None = None) -> ReportedRun:
    """Read the folder of a run.

    Parameters
    ----------
    config
        Of a run that may not have begun yet; None if the folder has to have a run.

    Raises
    ------
    CheckpointError
        If the folder holds no run, or its files are damaged.
    """
    record = None if config is not None and not folder.record.exists() else folder.read_record()
    newest = folder.newest_checkpoint()
    checkpoint = None if newest is None else read_record(newest)
    result = _result(folder)
    latents = read_latents(folder.latents) if result is not None and folder.latents.exists() else None
    if latents is not None and checkpoint is not None and len(latents.fired_F) != checkpoint.plan.latents:
        raise errors.CheckpointError(
            f"{folder.latents}: counts of {len(latents.fired_F):,} latents, and the dictionary has "
            f"{checkpoint.plan.latents:,}; remove the file to report without it"
        )
    config = TrainConfig() if config is None else config
    return ReportedRun(
        name=name,
        path=str(folder.path),
        config=config if record is None else record.config,
        source=None if record is None else record.source,
        record=checkpoint,
        result=result,
        failure=folder.read_failure(),
        curve=tuple(_curve(folder.metrics, None if checkpoint is None else checkpoint.plan.latents)),
        latents=latents,
    )


def _result(folder: RunFolder) -> ReportedResult | None:
    document = folder.read_result()
    if document is None:
        return None
    try:
        return ReportedResult.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ascii(".".join(str(part) for part in first["loc"])[:200])[1:-1]
        raise errors.CheckpointError(f"{folder.result}: {where}: {first['msg']}") from error


def _curve(path: Path, latents: int | None) -> Iterator[Point]:
    """Yield the logged moments; an incomplete last line of a killed run is left out."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_METRICS_BYTES + 1)
    except FileNotFoundError:
        return
    except OSError as error:
        raise errors.CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) > _MOST_METRICS_BYTES:
        raise errors.CheckpointError(f"{path}: more than {_MOST_METRICS_BYTES:,} bytes; these are no metrics of a run")
    lines = data.split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            yield _point(json.loads(line), latents)
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
            raise errors.CheckpointError(f"{path}, line {number}: not the metrics of a step") from error


def _point(metrics: object, latents: int | None) -> Point:
    if not isinstance(metrics, dict):
        raise TypeError
    dead = _number(metrics.get("dead"))
    return Point(
        rows=int(metrics["rows"]),
        explained_variance=_number(metrics.get("explained_variance")),
        batch_explained_variance=_number(metrics.get("batch_explained_variance")),
        l0=_number(metrics.get("batch_l0")),
        dead=None if dead is None or not latents else dead / latents,
    )


def _number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:
        raise ValueError
    return float(value)
