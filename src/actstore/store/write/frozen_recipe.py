"""`recipe.json`: the recipe and everything resolved from it, frozen before the first forward pass."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from actstore.access.objects import ObjectStore
from actstore.contracts.models import ModelFacts, Site
from actstore.contracts.planes import Calibration, Quantizer
from actstore.contracts.recipe import MOST_SPLITS, ModelRecipe, Recipe
from actstore.contracts.rules import CalibrationRules, RowRules
from actstore.errors import CorruptObjectError, MissingObjectError, StoreNotFoundError
from actstore.store.format.canonical import canonical_json, sha256_hex
from actstore.store.format.documents import parse_document, read_document
from actstore.store.format.layout import (
    FORMAT,
    RECIPE,
    ArraySpec,
    StoreLayout,
    array_specs,
    row_arrays,
    statistics_arrays,
)
from actstore.store.format.limits import layout_problem, sites_problem
from actstore.store.format.vectors import Document, Vector32
from actstore.store.write.imported import ImportFacts

__all__ = [
    "CalibrationFacts",
    "CompressionFacts",
    "CorpusFacts",
    "FrozenRecipe",
    "SplitFacts",
    "load_frozen",
    "load_frozen_if_any",
]

_Count = Annotated[int, Field(ge=0, le=1 << 62)]
_LEAST_CHANNEL: Final = 1e-30
_MOST_CALIBRATED: Final = 1e30
"""A level is at most 127 times a scale of at most 65,504 away from the centre: within float32 by far."""
_DIGEST: Final = Field(pattern=r"^[0-9a-f]{64}$")


class CorpusFacts(Document):
    """Facts of the corpus that was read."""

    digest: str = _DIGEST
    sequences: _Count
    residues: _Count
    skipped: dict[str, _Count]


class SplitFacts(Document):
    """One split: a run of whole tasks."""

    sequences: _Count
    rows: _Count
    first_task: _Count
    tasks: _Count


class CalibrationFacts(Document):
    """Centre and channel scale of one site, float32 [D]."""

    center: Vector32
    channel: Vector32

    @model_validator(mode="after")
    def _decodes_to_finite_values(self) -> Self:
        """Refuse scales of zero, and numbers so large that decoded values are not finite."""
        if not (np.abs(self.center) <= _MOST_CALIBRATED).all():
            raise ValueError(f"a centre exceeds {_MOST_CALIBRATED:g}")
        if not ((self.channel >= _LEAST_CHANNEL) & (self.channel <= _MOST_CALIBRATED)).all():
            raise ValueError(f"the scale of a channel is not within {_LEAST_CHANNEL:g} and {_MOST_CALIBRATED:g}")
        return self

    def to_calibration(self) -> Calibration:
        """Return the arrays."""
        return Calibration(self.center, self.channel)


class CompressionFacts(Document):
    """Compressed sizes of the values of the first task, if the recipe says `auto`."""

    rows: int = Field(ge=1)
    """Rows that were compressed."""
    value_bytes: dict[str, Annotated[int, Field(ge=1, le=1 << 62)]]
    """Bytes of their values at all sites by compressor; `none` is uncompressed."""

    @model_validator(mode="after")
    def _has_a_base(self) -> Self:
        if "none" not in self.value_bytes:
            raise ValueError("value_bytes has no 'none'")
        return self

    @property
    def ratios(self) -> dict[str, float]:
        """Compression ratio of each compressor."""
        plain = self.value_bytes["none"]
        return {name: plain / size for name, size in self.value_bytes.items() if name != "none"}


class FrozenRecipe(Document):
    """Everything that determines the content of the store."""

    format: Literal["actstore/1"] = FORMAT
    recipe: Recipe
    corpus: CorpusFacts
    model: ModelFacts
    sites: tuple[Site, ...]
    splits: dict[str, SplitFacts]
    rows: int = Field(ge=1)
    tasks: int = Field(ge=1)
    array_rows: int = Field(ge=1)
    plan_sha256: str = _DIGEST
    sequences_sha256: str = _DIGEST
    calibration: dict[str, CalibrationFacts] | None
    compression: CompressionFacts | None = None
    """Measurements of `compressor = "auto"`; absent if the recipe names a compressor."""
    imported: ImportFacts | None = None
    """Of rows that were imported from files; absent if the model was run."""
    software: dict[str, str]

    @field_validator("splits")
    @classmethod
    def _in_task_order(cls, splits: dict[str, SplitFacts]) -> dict[str, SplitFacts]:
        return dict(sorted(splits.items(), key=lambda item: (item[1].first_task, item[1].tasks)))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        store, splits = self.recipe.store, list(self.splits.values())
        if problem := sites_problem(self.sites) or layout_problem(StoreLayout.of(self.sites, store), self.tasks):
            raise ValueError(problem)
        if len(splits) > MOST_SPLITS or not all(name.isidentifier() for name in self.splits):
            raise ValueError(f"splits are at most {MOST_SPLITS}, and their names identifiers")
        ends = itertools.accumulate((split.tasks for split in splits), initial=0)
        if [split.first_task for split in splits] + [self.tasks] != list(ends):
            raise ValueError("the tasks of the splits do not follow each other")
        if any(split.tasks != -(-split.rows // store.task_rows) for split in splits):
            raise ValueError("a split does not have the tasks that its rows need")
        if sum(split.rows for split in splits) != self.rows:
            raise ValueError(f"the rows of the splits do not add up to {self.rows}")
        if self.array_rows != (self.tasks - 1) * store.task_rows + self.rows_of(self.tasks - 1):
            raise ValueError("array_rows is not where the rows of the last task end")
        if store.compressor == "auto":
            raise ValueError("the compressor of a frozen recipe is decided, not 'auto'")
        if self.calibration is not None:
            lengths = {name: (len(facts.center), len(facts.channel)) for name, facts in self.calibration.items()}
            if lengths != {site.name: (site.width, site.width) for site in self.sites}:
                raise ValueError(f"calibration has {str(lengths)[:200]}, which differs from the sites and their widths")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_absent(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out fields added later, if they say nothing: documents without them keep their digest."""
        document: dict[str, Any] = dump(self)
        for late in ("compression", "imported"):
            if getattr(self, late) is None:
                document.pop(late, None)
        return document

    def to_json(self) -> bytes:
        """Return the bytes that are stored."""
        return canonical_json(self.model_dump(mode="json"))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of `recipe.json`, the recipe digest that commits and manifest carry."""
        return sha256_hex(self.to_json())

    @cached_property
    def layout(self) -> StoreLayout:
        """The layout, which decides which arrays the store has."""
        return StoreLayout.of(self.sites, self.recipe.store)

    @cached_property
    def row_arrays(self) -> tuple[ArraySpec, ...]:
        """The arrays with one index of axis 0 for each row, in the order in which a task writes them."""
        return row_arrays(self.layout, self.array_rows)

    @cached_property
    def task_arrays(self) -> tuple[ArraySpec, ...]:
        """The arrays to which every task writes one object."""
        return (*self.row_arrays, *statistics_arrays(self.sites, self.tasks))

    @property
    def arrays(self) -> tuple[ArraySpec, ...]:
        """Every array of the store."""
        return array_specs(self.layout, length=self.array_rows, tasks=self.tasks)

    @property
    def quantizer(self) -> Quantizer:
        """The encoding."""
        return self.layout.quantizer

    @property
    def pinned_model(self) -> ModelRecipe:
        """The model of the recipe, at the revision that was extracted."""
        asked = self.recipe.model
        return asked.model_copy(update={"revision": self.model.revision or asked.revision})

    @property
    def modules(self) -> tuple[str, ...]:
        """Path of each site's module in the network."""
        return tuple(site.module for site in self.sites)

    @property
    def split_names(self) -> tuple[str, ...]:
        """Names of the splits, in the order of the recipe."""
        return tuple(self.recipe.splits.fractions)

    @property
    def row_rules(self) -> RowRules:
        """What the plan of the rows follows from, together with the sequences."""
        return self.recipe.row_rules

    @property
    def calibration_rules(self) -> CalibrationRules:
        """What centre and scale of each channel follow from."""
        return self.recipe.calibration_rules

    @property
    def refuses_overflow(self) -> bool:
        """Whether values beyond the range of the encoding are an error; they are clamped otherwise."""
        return self.recipe.store.on_overflow == "error"

    @property
    def tokens_per_batch(self) -> int:
        """Most tokens, padding included, of one forward pass."""
        return self.recipe.model.tokens_per_batch

    def compressed_by(self, compressor: str, *, facts: CompressionFacts | None = None) -> FrozenRecipe:
        """Return the same recipe with a compressor, and the sizes that were measured to choose it."""
        store = self.recipe.store.model_copy(update={"compressor": compressor})
        recipe = self.recipe.model_copy(update={"store": store})
        return self.model_copy(update={"recipe": recipe, "compression": facts})

    def split_of(self, task: int) -> str:
        """Return the split to which a task belongs."""
        for name, split in self.splits.items():
            if split.first_task <= task < split.first_task + split.tasks:
                return name
        raise IndexError(f"task {task} of {self.tasks}")

    def rows_of(self, task: int) -> int:
        """Return the rows of a task."""
        split = self.splits[self.split_of(task)]
        task_rows = self.layout.task_rows
        return min(task_rows, split.rows - (task - split.first_task) * task_rows)

    def site_calibration(self, site: str) -> Calibration | None:
        """Return the calibration of a site; None for encodings without one."""
        return None if self.calibration is None else self.calibration[site].to_calibration()


def load_frozen(objects: ObjectStore, *, sha256: str | None = None) -> FrozenRecipe:
    """Read `recipe.json`.

    Raises
    ------
    StoreNotFoundError
        If there is none.
    CorruptObjectError
        If it does not parse, or its digest is not `sha256`.
    """
    try:
        data = read_document(objects, RECIPE)
    except MissingObjectError as error:
        raise StoreNotFoundError(
            f"{objects.uri}: no activation store here ({RECIPE} is missing); "
            "check the path, or make one with 'actstore extract'"
        ) from error
    if sha256 is not None and sha256_hex(data) != sha256:
        raise CorruptObjectError(
            f"{objects.uri}: {RECIPE} has sha256 {sha256_hex(data)[:12]}..., the manifest says {sha256[:12]}...: "
            "this is another store than the one that the manifest describes"
        )
    try:
        return parse_document(FrozenRecipe, data)
    except ValueError as error:
        raise CorruptObjectError(f"{objects.uri}: {RECIPE} does not parse: {error}") from error


def load_frozen_if_any(objects: ObjectStore) -> FrozenRecipe | None:
    """Read `recipe.json`; None if there is no store yet."""
    try:
        return load_frozen(objects)
    except StoreNotFoundError:
        return None
