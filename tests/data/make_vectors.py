"""Make the test vectors: tiny stores, and beside each a JSON document with what a reader must find in it.

    python -m tests.data.make_vectors

Run from the repository root, for each version of the format. `tests/data/vectors/README.md` says what is in them. Rows
are read back by zarr-python and pyarrow, and decoded by the formulas of `docs/reference/format.md`; the plan is ours.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import zarr
from numpy.typing import NDArray

from actstore.access.open import LocalObjects
from actstore.contracts.planes import Float32s
from actstore.contracts.recipe import Recipe
from actstore.store.plan.tasks import plan_tasks
from actstore.store.read.assemble_manifest import write_manifest
from actstore.store.read.open import open_manifest
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen
from actstore.store.write.sequences import StoredSequences
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extract import extract_with
from actstore.workflows.extraction.shares import Share

__all__ = ["FOLDER", "VECTORS", "Vector", "expected_content", "main"]

FOLDER = Path(__file__).parent / "vectors"


class Vector(NamedTuple):
    """One store."""

    widths: Mapping[str, int]
    """Sites, and the features of each."""
    lengths: Sequence[int]
    """Residues of each sequence."""
    recipe: Mapping[str, Any]
    share: Share | None = None
    """Tasks that are done; all if None."""
    ids: Sequence[str] = ()
    """Ids of the first sequences; the others are numbered."""
    clusters: int = 0
    """Number of clusters; 0 for a recipe without."""


VECTORS: Mapping[str, Vector] = {
    "float16-windows": Vector(
        {"embed": 4, "resid_post.0": 6},
        (5, 32, 33, 40, 57, 100, 131, 7, 64),
        {
            "corpus": {"window_residues": 32, "window_overlap": 7},
            "rows": {"fraction": 0.4, "max_per_sequence": 37},
            "splits": {"fractions": {"train": 0.6, "valid": 0.4}},
            "store": {"encoding": "float16", "task_rows": 32, "chunk_rows": 8},
            "seed": 3,
        },
    ),
    "bfloat16-truncated-zstd": Vector(
        {"embed": 5},
        (3, 20, 21, 60, 1, 19),
        {
            "corpus": {"window_residues": 20, "window_overlap": 4, "long_sequences": "truncate"},
            "splits": {"fractions": {"train": 1.0}},
            "store": {"encoding": "bfloat16", "compressor": "zstd", "task_rows": 48, "chunk_rows": 16},
        },
    ),
    "int8-clusters": Vector(
        {"embed": 6, "resid_post.0": 6, "final_norm": 3},
        (18, 25, 9, 14, 22, 30, 11, 8, 16, 27),
        {
            "rows": {"fraction": 0.7},
            "splits": {"fractions": {"train": 0.5, "test": 0.3, "valid": 0.2}, "clusters": "clusters.tsv"},
            "store": {"encoding": "int8", "task_rows": 32, "chunk_rows": 32},
            "seed": 2**53 - 1,
        },
        clusters=4,
    ),
    "int4-odd-hole": Vector(
        {"wide": 257, "narrow": 9},
        (6, 9, 5, 8),
        {
            "splits": {"fractions": {"train": 1.0}},
            "store": {"encoding": "int4", "task_rows": 12, "chunk_rows": 4},
            "seed": 11,
        },
        share=Share(1, 2),
    ),
    "int8-skipped-zstd": Vector(
        {"final_norm": 7},
        (12, 30, 26, 31, 1, 2, 24, 17, 40),
        {
            "corpus": {"window_residues": 30, "window_overlap": 0, "long_sequences": "skip"},
            "rows": {"fraction": 0.3},
            "splits": {"fractions": {"test": 0.5, "train": 0.5, "valid": 0.0}},
            "store": {"encoding": "int8", "compressor": "zstd", "task_rows": 8, "chunk_rows": 4},
            "seed": 5,
        },
        ids=("é|1", "蛋白质", "🧬"),
    ),
}


class _Widths(FakeModel):
    """Sites of several widths: the first features of those of the fake model."""

    def __init__(self, widths: Mapping[str, int]) -> None:
        super().__init__(sites=tuple(widths), width=max(widths.values()))
        self._sites = tuple(site._replace(width=widths[site.name]) for site in self._sites)

    def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
        rows = super().activations(residues, kept)
        return {site.name: rows[site.name][:, : site.width] for site in self.sites}


def main() -> None:
    """Write all of them, in place of those that are there."""
    for name, vector in VECTORS.items():
        store = FOLDER / name
        shutil.rmtree(store, ignore_errors=True)
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            _write_inputs(vector, seed=name)
            extract_with(_Widths(vector.widths), LocalObjects(store), _recipe(vector), share=vector.share)
        if vector.share is not None:
            _leave_unfinished(store, site=next(iter(vector.widths)))
        document = json.dumps(expected_content(store), ensure_ascii=False, separators=(",", ":"))
        (FOLDER / f"{name}.json").write_text(document + "\n", encoding="utf-8")


def _recipe(vector: Vector) -> Recipe:
    document = {"model": {"name": "fake"}, "sites": list(vector.widths), **vector.recipe}
    document["corpus"] = {"sequences": "sequences.fasta", **document.get("corpus", {})}
    document["store"] = {"calibration_sequences": 3, **document["store"]}
    return Recipe.model_validate(document)


def _write_inputs(vector: Vector, *, seed: str) -> None:
    """Write FASTA and table of clusters into the working directory."""
    rng = random.Random(seed)
    ids = [*vector.ids, *(f"P{number}" for number in range(len(vector.ids), len(vector.lengths)))]
    texts = ["".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=length)) for length in vector.lengths]
    records = (f">{name}\n{text}\n" for name, text in zip(ids, texts, strict=True))
    Path("sequences.fasta").write_text("".join(records), encoding="utf-8")
    if vector.clusters:
        lines = (f"{ids[number % vector.clusters]}\t{name}\n" for number, name in enumerate(ids))
        Path("clusters.tsv").write_text("".join(lines), encoding="utf-8")


def _leave_unfinished(store: Path, *, site: str) -> None:
    """Add an object of a task that was killed before its commit, and the manifest of the tasks that are done."""
    values = store / "sites" / site / "values/c"
    shutil.copytree(values / "0", values / "1")
    write_manifest(LocalObjects(store))


def expected_content(store: Path) -> dict[str, Any]:
    """Return what a reader must find in a store."""
    manifest, objects = open_manifest(store), LocalObjects(store)
    frozen = load_frozen(objects)
    rows = _rows(store, frozen)
    table = pq.read_table(store / "sequences.parquet")
    columns = [name for name in ("id", "residues", "split", "rows", "cluster") if name in table.column_names]
    with StoredSequences(objects) as sequences:
        plan = plan_tasks(sequences.table(frozen.split_names), frozen.row_rules)
    tasks = []
    for number in range(plan.tasks):
        task = plan.task(number)
        residues = [(piece.sequence, int(position)) for piece in task.pieces for position in piece.position_K]
        first = number * plan.task_rows
        here = slice(first, first + task.rows)
        is_done = manifest.commits[number] is not None
        tasks.append(
            {
                "split": task.split,
                "first_row": first,
                "sequence": [residues[row][0] for row in task.order_N],
                "position": [residues[row][1] for row in task.order_N],
                "token": rows.token_N[here].tolist() if is_done else None,
                "values": {site: _shortest(values[here]) for site, values in rows.values.items()} if is_done else None,
            }
        )
    return {
        "manifest_sha256": manifest.digest,
        "recipe_sha256": manifest.recipe_sha256,
        "sequences": [
            row | ({"cluster": str(row["cluster"])} if "cluster" in row else {})
            for row in table.select(columns).to_pylist()
        ],
        "tasks": tasks,
    }


class _Rows(NamedTuple):
    token_N: NDArray[np.int16]
    values: dict[str, NDArray[np.float32]]


def _rows(store: Path, frozen: FrozenRecipe) -> _Rows:
    """Decode all rows by the formulas of the page: in float64, where products are exact, rounded once."""
    root = zarr.open_group(store, mode="r")

    def read(path: str) -> NDArray[Any]:
        return np.asarray(root[path])

    values: dict[str, NDArray[np.float32]] = {}
    for column, site in enumerate(frozen.sites):
        stored = read(f"sites/{site.name}/values")
        if frozen.quantizer.name == "float16":
            values[site.name] = stored.astype(np.float32)
            continue
        if frozen.quantizer.name == "bfloat16":
            values[site.name] = (stored.astype(np.uint32) << 16).view(np.float32)
            continue
        scale = read("scales/row")[:, column, None] if stored.dtype == np.int8 else read("scales/group")[:, column]
        if stored.dtype == np.uint8:
            d = np.arange(site.width)
            group = 2 * -(-site.width // (2 * max(1, site.width // 128)))
            scale, stored = scale[:, d // group], (stored[:, d // 2] >> (4 * (d % 2))) % 16 - 8.0
        center_D, channel_D = (read(f"sites/{site.name}/{name}").astype(np.float64) for name in ("center", "channel"))
        values[site.name] = (center_D + channel_D * (scale.astype(np.float64) * stored)).astype(np.float32)
    return _Rows(read("rows/token"), values)


def _shortest(values_ND: NDArray[np.float32]) -> list[list[float]]:
    """Return the shortest decimals that read back as the same float32."""
    return [[float(str(value)) for value in row] for row in values_ND]


if __name__ == "__main__":
    main()
