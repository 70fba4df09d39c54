"""`recipe.json`: the recipe and everything resolved from it, frozen before the first forward pass."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from actstore.access.objects import ObjectStore
from actstore.contracts.models import ModelFacts, Site
from actstore.contracts.planes import Calibration, Quantizer
from actstore.contracts.recipe import MOST_INTEGER, MOST_SPLITS, ModelRecipe, Recipe
from actstore.contracts.rules import CalibrationRules, RowRules
from actstore.errors import CorruptObjectError, MissingObjectError, StoreNotFoundError
from actstore.store.format.canonical import canonical_json, sha256_hex
from actstore.store.format.documents import FormatName, parse_document, read_document
from actstore.store.format.layout import (
    FORMAT,
    HOLE,
    RECIPE,
    ArraySpec,
    StoreLayout,
    calibration_arrays,
    metadata_paths,
    row_arrays,
    statistics_arrays,
    values_path,
)
from actstore.store.format.limits import layout_problem, sites_problem
from actstore.store.format.vectors import Document
from actstore.store.write.facts import CalibrationFacts, CompressionFacts, CorpusFacts, SplitFacts
from actstore.store.write.imported import ImportFacts
from actstore.store.write.members import MOST_MEMBERS, MemberFacts, TaskTable, number_tasks
from actstore.store.write.part import PartFacts, how_to_finish

__all__ = [
    "FrozenRecipe",
    "load_frozen",
    "load_frozen_if_any",
]

_DIGEST: Final = Field(pattern=r"^[0-9a-f]{64}$")


class FrozenRecipe(Document):
    """Everything that determines the content of the store."""

    format: FormatName = FORMAT
    recipe: Recipe
    corpus: CorpusFacts
    model: ModelFacts
    sites: tuple[Site, ...]
    splits: dict[str, SplitFacts]
    rows: int = Field(ge=1, le=MOST_INTEGER)
    tasks: int = Field(ge=1, le=MOST_INTEGER)
    array_rows: int = Field(ge=1, le=MOST_INTEGER)
    plan_sha256: str = _DIGEST
    sequences_sha256: str = _DIGEST
    calibration: dict[str, CalibrationFacts] | None
    compression: CompressionFacts | None = None
    """Measurements of `compressor = "auto"`; None if the recipe names a compressor."""
    imported: ImportFacts | None = None
    """Of rows that were imported from files, or copied from another store; None if the model was run."""
    software: dict[str, str]
    part: PartFacts | None = None
    """The sites and tasks that are here, if not all; not part of the digest."""
    members: tuple[MemberFacts, ...] = Field(default=(), max_length=MOST_MEMBERS)
    """The stores of a merge, whose tasks and sequences are numbered together; empty for a store."""

    @field_validator("model")
    @classmethod
    def _of_some_parameters(cls, model: ModelFacts) -> ModelFacts:
        if not 0 <= model.parameters <= MOST_INTEGER:
            raise ValueError(f"has {model.parameters:,} parameters; at most {MOST_INTEGER:,} can be recorded")
        return model

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
        parts = [member.splits for member in self.members] or [self.splits]
        if any(split.tasks != -(-split.rows // store.task_rows) for part in parts for split in part.values()):
            raise ValueError("a split does not have the tasks that its rows need")
        if self.members and sum(split.tasks for part in parts for split in part.values()) != self.tasks:
            raise ValueError("the tasks of a merge are not those of its stores")
        if sum(split.rows for split in splits) != self.rows:
            raise ValueError(f"the rows of the splits do not add up to {self.rows}")
        if self.array_rows != (self.tasks - 1) * store.task_rows + self.rows_of(self.tasks - 1):
            raise ValueError("array_rows is not where the rows of the last task end")
        if store.compressor == "auto":
            raise ValueError("the compressor of a frozen recipe is decided, not 'auto'")
        return self

    @model_validator(mode="after")
    def _decodes_its_sites(self) -> Self:
        if self.calibration is not None:
            lengths = {name: (len(facts.center), len(facts.channel)) for name, facts in self.calibration.items()}
            if lengths != {site.name: (site.width, site.width) for site in self.sites}:
                raise ValueError(f"calibration has {str(lengths)[:200]}, which differs from the sites and their widths")
        return self

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.members and self.table.splits != self.splits:
            raise ValueError("the splits of a merge are not those of its stores")
        tasks = {name: split.tasks for name, split in self.splits.items()}
        if self.part is not None and (problem := self.part.problem([site.name for site in self.sites], tasks)):
            raise ValueError(problem)
        return self

    def to_json(self) -> bytes:
        """Return the bytes that are stored."""
        return canonical_json(self.model_dump(mode="json"))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of `recipe.json` with a `part` of null: the recipe digest that commits and manifest carry."""
        return sha256_hex(self.whole.to_json())

    @property
    def whole(self) -> FrozenRecipe:
        """The recipe of the store that this is a part of."""
        return self if self.part is None else self.model_copy(update={"part": None})

    @cached_property
    def sites_here(self) -> tuple[Site, ...]:
        """The sites whose values are here, in stored order."""
        if self.part is None or self.part.sites is None:
            return self.sites
        return tuple(site for site in self.sites if site.name in self.part.sites)

    @cached_property
    def splits_here(self) -> dict[str, SplitFacts]:
        """The splits as far as they are here: rows and tasks of the part, sequences of the store."""
        if self.part is None or self.part.tasks is None:
            return self.splits
        here: dict[str, SplitFacts] = {}
        for name, split in self.splits.items():
            if tasks := self.part.tasks.get(name, 0):
                rows = min(tasks * self.layout.task_rows, split.rows)
                here[name] = split.model_copy(update={"tasks": tasks, "rows": rows})
        return here

    @property
    def tasks_here(self) -> list[int]:
        """The tasks that are here, or will be when the store is complete."""
        runs = (range(split.first_task, split.first_task + split.tasks) for split in self.splits_here.values())
        return list(itertools.chain.from_iterable(runs))

    @cached_property
    def layout(self) -> StoreLayout:
        """The layout, which decides which arrays the store has."""
        return StoreLayout.of(self.sites, self.recipe.store)

    @cached_property
    def row_arrays(self) -> tuple[ArraySpec, ...]:
        """The arrays with one index of axis 0 for each row, in the order in which a task writes them."""
        left_out = {values_path(site.name) for site in self.sites if site not in self.sites_here}
        return tuple(spec for spec in row_arrays(self.layout, self.array_rows) if spec.path not in left_out)

    @cached_property
    def task_arrays(self) -> tuple[ArraySpec, ...]:
        """The arrays of which every task here has one object."""
        return (*self.row_arrays, *statistics_arrays(self.sites, self.tasks))

    @cached_property
    def committed_arrays(self) -> tuple[ArraySpec, ...]:
        """The arrays whose objects a commit names: those of the whole store."""
        return self.whole.task_arrays

    @cached_property
    def table(self) -> TaskTable:
        """The tasks of a merge."""
        return number_tasks(self.members, self.layout.task_rows)

    def common_sequences(self, sequence_N: NDArray[np.int64], row_N: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of sequences in a merge, given those that the store of each row has for them."""
        if not self.members:
            return sequence_N
        member_N = self.table.member_T[row_N // self.layout.task_rows]
        known_N = (sequence_N >= 0) & (sequence_N < self.table.sequences_M[member_N])
        return np.where(known_N, sequence_N + self.table.first_sequence_M[member_N], HOLE)

    @property
    def how_to_finish(self) -> str:
        """The command that gives the store the tasks that it lacks."""
        return how_to_finish(self.part, self.imported)

    @property
    def metadata_paths(self) -> list[str]:
        """Paths of the Zarr metadata and calibration arrays."""
        return metadata_paths(self.arrays) + [spec.object_path(0) for spec in self.calibration_arrays]

    @property
    def calibration_arrays(self) -> tuple[ArraySpec, ...]:
        """The arrays that decode the sites; none for encodings without calibration."""
        return calibration_arrays(self.sites_here) if self.quantizer.calibrated else ()

    @property
    def arrays(self) -> tuple[ArraySpec, ...]:
        """Every array of the store."""
        return (*self.task_arrays, *self.calibration_arrays)

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
        if self.members:
            return int(self.table.rows_T[task])
        split = self.splits[self.split_of(task)]
        task_rows = self.layout.task_rows
        return min(task_rows, split.rows - (task - split.first_task) * task_rows)

    def site_calibration(self, site: str) -> Calibration | None:
        """Return the calibration of a site; None for encodings without one."""
        return None if self.calibration is None else self.calibration[site].to_calibration()


def load_frozen(objects: ObjectStore) -> FrozenRecipe:
    """Read `recipe.json`.

    Raises
    ------
    StoreNotFoundError
        If there is none.
    CorruptObjectError
        If it does not parse.
    """
    try:
        data = read_document(objects, RECIPE)
    except MissingObjectError as error:
        raise StoreNotFoundError(
            f"{objects.uri}: no activation store here ({RECIPE} is missing); "
            "check the path, or make one with 'actstore extract'"
        ) from error
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
