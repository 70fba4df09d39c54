"""The manifest: all commits and digests, the recipe, and the statistics, in one document.

It is the root of a tree of digests: manifest -> commits and metadata -> objects -> chunks. With a manifest, a reader
can check that a store is the one it describes, byte by byte while reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from actstore.access.storage_options import address_problem
from actstore.contracts.models import ModelFacts, Site
from actstore.contracts.recipe import MOST_INTEGER
from actstore.errors import ManifestError, UsageError
from actstore.quantize.table import QUANTIZERS
from actstore.store.format.canonical import canonical_json, sha256_hex
from actstore.store.format.documents import MOST_DOCUMENT_BYTES, FormatName, format_problem, load_json, parse_document
from actstore.store.format.layout import FORMAT
from actstore.store.format.vectors import Document
from actstore.store.write.facts import SplitFacts
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.store.write.join import join_recipes
from actstore.store.write.members import MOST_MEMBERS
from actstore.store.write.statistics import SiteStatistics

__all__ = ["Manifest", "StoredBytes", "joined_commits", "parse_manifest"]

LARGEST_MANIFEST_BYTES: Final = MOST_DOCUMENT_BYTES
_Size = Annotated[int, Field(ge=0, le=MOST_INTEGER)]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class StoredBytes(BaseModel):
    """Sizes, summed over the commits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    total: _Size
    """All objects that commits name."""
    payload: _Size
    """Values and row scales only, without shard indices."""
    payload_rows: _Size
    """Rows in the payload, padding of last chunks included."""
    objects: _Size


class Manifest(Document):
    """The content of a store."""

    format: FormatName = FORMAT
    uri: str | None = None
    """Place of the store; set by `actstore manifest export`, not part of the digest."""
    places: tuple[str, ...] = Field(default=(), max_length=64)
    """Further places of the same store, tried after `uri`; not part of the digest."""
    recipe_sha256: _Digest
    frozen: FrozenRecipe
    metadata: dict[str, _Digest]
    """SHA-256 of `recipe.json`, `sequences.parquet` and every `zarr.json`."""
    commits: tuple[_Digest | None, ...]
    """SHA-256 of each task's commit; None if the task is not done."""
    stored: StoredBytes
    statistics: dict[str, SiteStatistics]
    members: tuple[Manifest, ...] = Field(default=(), max_length=MOST_MEMBERS)
    """The stores of a merge, each with its places; empty for a store."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for place in (self.uri, *self.places):
            if place is not None and (problem := address_problem(place)):
                raise ValueError(problem)
        if len(self.commits) != self.frozen.tasks:
            raise ValueError(f"{len(self.commits)} commits for {self.frozen.tasks} tasks")
        if self.frozen.part is not None and self.tasks_done != sum(self.commits[t] is not None for t in self.tasks):
            raise ValueError("a commit of a task that does not belong to the part of the store")
        if self.recipe_sha256 != self.frozen.digest:
            raise ValueError("recipe_sha256 is not the digest of the recipe in this manifest")
        if set(self.statistics) != {site.name for site in self.sites}:
            raise ValueError("statistics and sites differ")
        for site in self.sites:
            statistics = self.statistics[site.name]
            if not len(statistics.mean_D) == len(statistics.variance_D) == site.width:
                raise ValueError(f"statistics of {site.name} are not of its {site.width} features")
        if QUANTIZERS[self.encoding].calibrated and self.frozen.calibration is None:
            raise ValueError(f"encoding {self.encoding} without calibration")
        return self

    @model_validator(mode="after")
    def _has_its_members(self) -> Self:
        if not self.members:
            if self.frozen.members:
                raise ValueError("a merge without its stores")
            return self
        if any(one.members for one in self.members):
            raise ValueError("a merge of merges")
        names = [f"store {index}" for index in range(len(self.members))]
        try:
            joined = join_recipes([one.frozen for one in self.members], names)
        except UsageError as error:
            raise ValueError(str(error)) from None
        if joined != self.frozen:
            raise ValueError("the recipe of a merge is not that of its stores")
        if self.commits != joined_commits(joined, self.members):
            raise ValueError("the commits of a merge are not those of its stores")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_absent(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = dump(self)
        for name in ("places", "members"):
            if not getattr(self, name):
                document.pop(name, None)
        return document

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites, in stored order."""
        return self.frozen.sites_here

    @property
    def model(self) -> ModelFacts:
        """The model that was run."""
        return self.frozen.model

    @property
    def encoding(self) -> str:
        """Name of the encoding."""
        return self.frozen.quantizer.name

    @property
    def splits(self) -> dict[str, SplitFacts]:
        """Rows, sequences and tasks of each split."""
        return self.frozen.splits_here

    @property
    def rows(self) -> int:
        """Rows of the finished store."""
        return sum(split.rows for split in self.splits.values())

    @property
    def tasks(self) -> list[int]:
        """Tasks of the finished store, by their numbers."""
        return self.frozen.tasks_here

    @property
    def tasks_done(self) -> int:
        """Tasks that have a commit."""
        return sum(commit is not None for commit in self.commits)

    @property
    def complete(self) -> bool:
        """Whether every task has a commit."""
        return self.tasks_done == len(self.tasks)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical document without its places; cite a store by it."""
        members = tuple(one.placed(None) for one in self.members)
        return sha256_hex(self.model_copy(update={"members": members}).to_json(uri=None))

    def placed(self, uri: str | None, places: Sequence[str] = ()) -> Manifest:
        """Return the manifest with other places of its store."""
        return self.model_copy(update={"uri": uri, "places": tuple(places)})

    def to_json(self, *, uri: str | None, places: Sequence[str] = ()) -> bytes:
        """Return the document, canonical; inside the store `uri` is None, and there are no further places."""
        return canonical_json(self.placed(uri, places).model_dump(mode="json"))


def joined_commits(joined: FrozenRecipe, members: Sequence[Manifest]) -> tuple[str | None, ...]:
    """Return the digests of the commits of a merge, in the order of its tasks."""
    pairs = zip(joined.table.member_T.tolist(), joined.table.local_T.tolist(), strict=True)
    return tuple(members[member].commits[task] for member, task in pairs)


def parse_manifest(data: bytes, *, name: str) -> Manifest:
    """Parse and validate a manifest.

    Raises
    ------
    ManifestError
        If it is not a manifest, is of another format version, or contradicts itself.
    """
    if len(data) > LARGEST_MANIFEST_BYTES:
        raise ManifestError(f"{name}: {len(data):,} bytes are more than any manifest has; is this the right file?")
    try:
        document = load_json(data)
    except ValueError as error:
        raise ManifestError(f"{name}: not a manifest: {error}") from error
    found = document.get("format") if isinstance(document, dict) else None
    if problem := format_problem(found):
        raise ManifestError(f"{name}: {problem}")
    del document
    try:
        return parse_document(Manifest, data, unique=True)
    except ValueError as error:
        raise ManifestError(f"{name}: {error}") from error
