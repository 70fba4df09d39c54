"""Choose a compressor by measuring it on the encoded values of one task."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from actstore.contracts.tasks import Task, TaskRows
from actstore.store.format.layout import row_arrays, values_path
from actstore.store.format.shard import encode_shard, index_bytes
from actstore.store.write.facts import CompressionFacts
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.store.write.writer import encode_site

__all__ = ["LEAST_SAVING", "best_compressor", "measure_compressors"]

COMPRESSORS: Final = ("none", "zstd", "blosc")

LEAST_SAVING: Final = 0.25
"""Share of the bytes that a compressor must save to be chosen.

One core decompresses some 0.5 GB/s of activations and copies uncompressed ones ten times as fast. So a saving of a
quarter pays if storage gives a core less than a quarter of 0.5 GB/s, which is a line of 1 Gbit/s. Besides, only
uncompressed shards can be read in uniform order. Residual streams save 4 to 8 % as float16, int8 and int4 and 22 % as
bfloat16; the site `embed`, which has few distinct rows, saves 90 % (docs/decisions/0008-auto-compressor.md)."""


def measure_compressors(frozen: FrozenRecipe, task: Task, rows: TaskRows) -> CompressionFacts:
    """Compress the values of a task with every compressor, in memory.

    Only whole chunks count, if there is one: the last chunk of a task may be padded, and padding compresses too well.

    Parameters
    ----------
    frozen
        The recipe, with its calibration.
    task, rows
        The arguments of a writer.

    Raises
    ------
    NumericsError
        If the encoding cannot hold a row.
    """
    chunk_rows = min(frozen.layout.chunk_rows, task.rows)
    measured = task.rows // chunk_rows * chunk_rows
    shard = replace(frozen.layout, task_rows=measured, chunk_rows=chunk_rows)
    totals = dict.fromkeys(COMPRESSORS, 0)
    for site in frozen.sites:
        planes = encode_site(frozen, site, rows.values[site.name][:measured], task=task.index)
        for name in COMPRESSORS:
            arrays = row_arrays(replace(shard, sites=(site,), compressor=name), measured)
            spec = next(spec for spec in arrays if spec.path == values_path(site.name))
            totals[name] += len(encode_shard(spec, planes.values_ND).data) - index_bytes(spec)
    return CompressionFacts(rows=measured, value_bytes=totals)


def best_compressor(facts: CompressionFacts) -> str:
    """Return the compressor that leaves the fewest bytes if it saves `LEAST_SAVING`, else `none`."""
    best = min(facts.value_bytes, key=lambda name: (facts.value_bytes[name], COMPRESSORS.index(name)))
    saving = 1 - facts.value_bytes[best] / facts.value_bytes["none"]
    return best if saving >= LEAST_SAVING else "none"
