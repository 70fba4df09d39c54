"""A compressor is taken if it pays on what would really be stored."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from actstore.access.open import LocalObjects
from actstore.contracts.tasks import Task, TaskRows
from actstore.errors import NumericsError
from actstore.quantize.table import QUANTIZERS
from actstore.store.read.assemble_manifest import assemble_manifest
from actstore.store.write.compression import LEAST_SAVING, best_compressor, measure_compressors
from actstore.store.write.facts import CompressionFacts
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen

StoreOf = Callable[..., Path]
RowsOf = Callable[[LocalObjects, int], TaskRows]


def facts(**value_bytes: int) -> CompressionFacts:
    return CompressionFacts(rows=64, value_bytes=value_bytes)


def task_of(frozen: FrozenRecipe, rows: int) -> Task:
    return Task(0, frozen.split_of(0), rows, (), np.arange(rows))


def first_rows(rows: TaskRows, count: int) -> TaskRows:
    return TaskRows(
        rows.sequence_N[:count],
        rows.position_N[:count],
        rows.token_N[:count],
        {site: values_ND[:count] for site, values_ND in rows.values.items()},
    )


@pytest.mark.parametrize("encoding", QUANTIZERS)
def test_sizes_are_those_of_stores_that_are_compressed_so(encoding: str, store_of: StoreOf, rows_of: RowsOf) -> None:
    store = {"store.encoding": encoding, "rows.fraction": 0.05, "splits.fractions": {"train": 1.0}}
    objects = LocalObjects(store_of(**store))
    frozen = load_frozen(objects)
    assert (frozen.tasks, frozen.rows % 64 != 0) == (1, True)
    found = measure_compressors(frozen, task_of(frozen, frozen.rows), rows_of(objects, 0))
    assert found.rows == frozen.rows // 64 * 64
    assert list(found.value_bytes) == ["none", "zstd", "blosc"]
    width = QUANTIZERS[encoding].stored_width(16) * QUANTIZERS[encoding].stored_dtype.itemsize
    assert found.value_bytes["none"] == found.rows * 4 * width
    for name in ("zstd", "blosc"):
        stored = assemble_manifest(LocalObjects(store_of(**store, **{"store.compressor": name}))).stored
        scales = 4 * 2 * stored.payload_rows if QUANTIZERS[encoding].calibrated else 0
        # All but the last chunk, which is padded.
        assert 0.85 * (stored.payload - scales) < found.value_bytes[name] < stored.payload - scales


def test_padding_of_a_short_task_counts_for_nothing(store_of: StoreOf, rows_of: RowsOf) -> None:
    objects = LocalObjects(store_of())
    frozen, rows = load_frozen(objects), rows_of(objects, 0)
    few = measure_compressors(frozen, task_of(frozen, 5), first_rows(rows, 5))
    assert (few.rows, few.value_bytes["none"]) == (5, 5 * 4 * 16)
    assert best_compressor(few) == "none"


def test_a_row_that_the_encoding_cannot_hold_is_an_error_with_its_site(store_of: StoreOf, rows_of: RowsOf) -> None:
    objects = LocalObjects(store_of())
    frozen, rows = load_frozen(objects), rows_of(objects, 0)
    spoilt: NDArray[np.float32] = rows.values["embed"].copy()
    spoilt[3, 2] = 1e30
    bad = replace(rows, values=rows.values | {"embed": spoilt})
    with pytest.raises(NumericsError, match=r"site embed, task 0: int8 scale of row 3"):
        measure_compressors(frozen, task_of(frozen, frozen.rows_of(0)), bad)


def test_the_best_is_taken_if_it_saves_enough() -> None:
    least = round(1000 * (1 - LEAST_SAVING))
    assert best_compressor(facts(none=1000, zstd=least, blosc=least + 1)) == "zstd"
    assert best_compressor(facts(none=1000, zstd=least, blosc=least - 1)) == "blosc"
    assert best_compressor(facts(none=1000, zstd=least + 1, blosc=1000)) == "none"
    assert best_compressor(facts(none=1000, zstd=1010, blosc=1020)) == "none"


def test_of_two_equals_one_is_always_the_same() -> None:
    assert best_compressor(facts(none=1000, zstd=100, blosc=100)) == "zstd"
    assert best_compressor(facts(none=1000, blosc=100, zstd=100)) == "zstd"


def test_zarr_reads_the_compressed_chunks(store_of: StoreOf) -> None:
    plain, packed = (
        zarr.open_group(store_of(**{"store.encoding": "int4", "store.compressor": name}), mode="r")
        for name in ("none", "zstd")
    )
    for path in ("sites/embed/values", "scales/group"):
        assert np.asarray(plain[path]).tobytes() == np.asarray(packed[path]).tobytes()
