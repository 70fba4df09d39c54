"""Names, shapes and byte ranges: the on-disk format of `docs/reference/format.md` in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from actstore.contracts.models import Site
from actstore.contracts.planes import Quantizer
from actstore.contracts.recipe import StoreRecipe
from actstore.quantize.table import QUANTIZERS

__all__ = [
    "CARD",
    "COMMITS",
    "CROISSANT",
    "FORMAT",
    "HOLE",
    "LARGE_OBJECTS",
    "LAST_ARRAY",
    "MANIFEST",
    "PUBLISHED",
    "RECIPE",
    "ROOT_METADATA",
    "SEQUENCES",
    "ArraySpec",
    "StoreLayout",
    "array_specs",
    "calibration_arrays",
    "commit_path",
    "metadata_paths",
    "row_arrays",
    "scales_path",
    "statistics_arrays",
    "values_path",
]

FORMAT: Final = "actstore/2"
ROOT_METADATA: Final = "zarr.json"
RECIPE: Final = "recipe.json"
SEQUENCES: Final = "sequences.parquet"
LARGE_OBJECTS: Final = (SEQUENCES,)
"""Objects that may be large enough to be written in parts; all others are written by one request."""
LAST_ARRAY: Final = "rows/sequence"
"""A reader of plain Zarr takes a row for filled as soon as this says so; so a task writes its object last."""
MANIFEST: Final = "manifest.json"
COMMITS: Final = "commits"
CARD: Final = "README.md"
CROISSANT: Final = "croissant.json"
PUBLISHED: Final = frozenset({CARD, CROISSANT, ".gitattributes"})
"""What a published store has beside: its data card, Croissant metadata, and a file that the Hub makes."""
HOLE: Final = -1
"""`rows/sequence` of a row without a residue: the tail of a split's last shard."""


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """One Zarr array. Axis 0 is rows (or tasks); a task owns exactly one object of it."""

    path: str
    dtype: str
    shape: tuple[int, ...]
    shard: tuple[int, ...]
    chunk: tuple[int, ...]
    fill: int | float
    sharded: bool
    """Whether an object holds several chunks and an index; otherwise it is one chunk."""
    compressor: str = "none"
    attributes: tuple[tuple[str, Any], ...] = ()

    @property
    def row_bytes(self) -> int:
        """Uncompressed bytes of one index of axis 0."""
        size = int(self.dtype.lstrip("<>|")[1:])
        for extent in self.shape[1:]:
            size *= extent
        return size

    @property
    def chunks_per_shard(self) -> int:
        """Inner chunks of one object."""
        return self.shard[0] // self.chunk[0]

    def object_path(self, task: int) -> str:
        """Return the object of a task."""
        return "/".join((self.path, "c", str(task), *("0" for _ in self.shape[1:])))


@dataclass(frozen=True, slots=True)
class StoreLayout:
    """Everything that decides which arrays a store has, except its numbers of rows and tasks."""

    sites: tuple[Site, ...]
    quantizer: Quantizer
    compressor: str
    task_rows: int
    chunk_rows: int

    @classmethod
    def of(cls, sites: Sequence[Site], store: StoreRecipe) -> Self:
        """Return the layout that a recipe asks for."""
        return cls(tuple(sites), QUANTIZERS[store.encoding], store.compressor, store.task_rows, store.chunk_rows)

    def encoded_as(self, encoding: str) -> StoreLayout:
        """Return the same layout in another encoding, by its name."""
        return replace(self, quantizer=QUANTIZERS[encoding])


def commit_path(task: int) -> str:
    """Return the path of a task's commit."""
    return f"{COMMITS}/{task}.json"


def row_arrays(layout: StoreLayout, length: int) -> tuple[ArraySpec, ...]:
    """Return the arrays with one index of axis 0 for each row, in the order in which a task writes them."""
    sites, quantizer = layout.sites, layout.quantizer

    def spec(path: str, dtype: str, width: tuple[int, ...], fill: float) -> ArraySpec:
        shard, chunk = (layout.task_rows, *width), (layout.chunk_rows, *width)
        return ArraySpec(path, dtype, (length, *width), shard, chunk, fill, sharded=True)

    arrays = [
        spec("rows/sequence", "<i8", (), HOLE),
        spec("rows/position", "<i4", (), HOLE),
        spec("rows/token", "<i2", (), HOLE),
    ]
    if quantizer.scales is not None:
        groups = () if quantizer.scales == "row" else (max(quantizer.scale_groups(site.width) for site in sites),)
        arrays.append(spec(scales_path(quantizer), "<f2", (len(sites), *groups), 0.0))
    for site in sites:
        note = (("actstore", {"encoding": quantizer.name, "site": site.name, "module": site.module}),)
        stored = quantizer.stored_width(site.width)
        fill = 0 if quantizer.stored_dtype.kind in "iu" else 0.0
        values = spec(values_path(site.name), quantizer.stored_dtype.str, (stored,), fill)
        arrays.append(replace(values, compressor=layout.compressor, attributes=note))
    return tuple(arrays)


def statistics_arrays(sites: Sequence[Site], tasks: int) -> tuple[ArraySpec, ...]:
    """Return the arrays with one index of axis 0 for each task. Sites narrower than the widest are zero-padded."""
    count, width = len(sites), max(site.width for site in sites)

    def spec(name: str, dtype: str, tail: tuple[int, ...]) -> ArraySpec:
        fill = 0 if dtype[1] == "i" else 0.0
        return ArraySpec(f"statistics/{name}", dtype, (tasks, *tail), (1, *tail), (1, *tail), fill, sharded=False)

    return (
        spec("count", "<i8", (count,)),
        spec("norm_sum", "<f8", (count,)),
        spec("saturated", "<i8", (count,)),
        spec("mean", "<f8", (count, width)),
        spec("m2", "<f8", (count, width)),
        spec("max_abs", "<f4", (count, width)),
        spec("noise", "<f8", (count, width)),
    )


def calibration_arrays(sites: Sequence[Site]) -> tuple[ArraySpec, ...]:
    """Return the float32 [D] arrays that decode int8 and int4: `sites/<site>/center` and `sites/<site>/channel`."""
    return tuple(
        ArraySpec(f"sites/{site.name}/{name}", "<f4", (site.width,), (site.width,), (site.width,), 0.0, sharded=False)
        for site in sites
        for name in ("center", "channel")
    )


def values_path(site: str) -> str:
    """Return the path of a site's values array."""
    return f"sites/{site}/values"


def scales_path(quantizer: Quantizer) -> str:
    """Return the path of the array of scales: [N, S] for a scale of each row, [N, S, G] for one of each group.

    G is the largest of any site; sites with fewer groups are padded with zeros at the end.

    Raises
    ------
    ValueError
        If the encoding has no scales.
    """
    if quantizer.scales is None:
        raise ValueError(f"{quantizer.name} has no scales")
    return f"scales/{quantizer.scales}"


def array_specs(layout: StoreLayout, *, length: int, tasks: int) -> tuple[ArraySpec, ...]:
    """Return every array of a store."""
    calibration = calibration_arrays(layout.sites) if layout.quantizer.calibrated else ()
    return (*row_arrays(layout, length), *statistics_arrays(layout.sites, tasks), *calibration)


def metadata_paths(specs: Sequence[ArraySpec]) -> list[str]:
    """Return the paths of all `zarr.json` documents: root, groups and arrays."""
    nodes = {""}
    for spec in specs:
        parts = spec.path.split("/")
        nodes.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return sorted(f"{node}/{ROOT_METADATA}".lstrip("/") for node in nodes)
