"""Names, shapes and sizes on disk."""

from dataclasses import replace

import numpy as np
import pytest

from actstore.contracts.models import Site
from actstore.contracts.recipe import StoreRecipe
from actstore.quantize.table import QUANTIZERS
from actstore.store.format.layout import (
    ArraySpec,
    StoreLayout,
    array_specs,
    calibration_arrays,
    commit_path,
    metadata_paths,
    row_arrays,
    scales_path,
    statistics_arrays,
    values_path,
)
from actstore.store.format.metadata import zarr_documents

SITES = (Site("embed", "embeddings", 8), Site("resid_post.0", "blocks.0", 12))
LAYOUT = StoreLayout.of(SITES, StoreRecipe(task_rows=64, chunk_rows=16, compressor="zstd"))


def specs(encoding: str) -> dict[str, ArraySpec]:
    return {spec.path: spec for spec in array_specs(LAYOUT.encoded_as(encoding), length=150, tasks=3)}


def test_an_int8_store_has_these_arrays() -> None:
    shapes = {path: (spec.dtype, spec.shape) for path, spec in specs("int8").items()}
    assert shapes == {
        "rows/sequence": ("<i8", (150,)),
        "rows/position": ("<i4", (150,)),
        "rows/token": ("<i2", (150,)),
        "scales/row": ("<f2", (150, 2)),
        "sites/embed/values": ("|i1", (150, 8)),
        "sites/resid_post.0/values": ("|i1", (150, 12)),
        "sites/embed/center": ("<f4", (8,)),
        "sites/embed/channel": ("<f4", (8,)),
        "sites/resid_post.0/center": ("<f4", (12,)),
        "sites/resid_post.0/channel": ("<f4", (12,)),
        "statistics/count": ("<i8", (3, 2)),
        "statistics/norm_sum": ("<f8", (3, 2)),
        "statistics/saturated": ("<i8", (3, 2)),
        "statistics/mean": ("<f8", (3, 2, 12)),
        "statistics/m2": ("<f8", (3, 2, 12)),
        "statistics/max_abs": ("<f4", (3, 2, 12)),
        "statistics/noise": ("<f8", (3, 2, 12)),
    }


def test_an_int4_store_packs_two_values_into_a_byte_and_has_a_scale_for_each_group() -> None:
    eight, four = specs("int8"), specs("int4")
    assert set(four) - set(eight) == {"scales/group"}
    assert set(eight) - set(four) == {"scales/row"}
    assert (four["scales/group"].dtype, four["scales/group"].shape) == ("<f2", (150, 2, 1))
    assert four["scales/group"].object_path(17) == "scales/group/c/17/0/0"
    values = {path: (spec.dtype, spec.shape) for path, spec in four.items() if path.endswith("/values")}
    assert values == {"sites/embed/values": ("|u1", (150, 4)), "sites/resid_post.0/values": ("|u1", (150, 6))}


def test_scales_have_as_many_groups_as_the_widest_site() -> None:
    sites = (Site("embed", "embeddings", 129), Site("resid_post.0", "blocks.0", 1024))
    arrays = {spec.path: spec for spec in row_arrays(replace(LAYOUT.encoded_as("int4"), sites=sites), 150)}
    assert arrays["scales/group"].shape == (150, 2, 8)
    assert arrays["sites/embed/values"].shape == (150, 65)


def test_scales_are_named_after_what_they_are_for() -> None:
    assert [scales_path(QUANTIZERS[name]) for name in ("int8", "int4")] == ["scales/row", "scales/group"]
    with pytest.raises(ValueError, match="float16 has no scales"):
        scales_path(QUANTIZERS["float16"])


@pytest.mark.parametrize(("encoding", "dtype"), [("float16", "<f2"), ("bfloat16", "<u2")])
def test_float_stores_have_neither_scales_nor_calibration(encoding: str, dtype: str) -> None:
    arrays = specs(encoding)
    assert arrays["sites/embed/values"].dtype == dtype
    assert set(specs("int8")) - set(arrays) == {
        "scales/row",
        *(f"sites/{site.name}/{name}" for site in SITES for name in ("center", "channel")),
    }


def test_only_values_are_compressed_and_only_row_arrays_are_sharded() -> None:
    for path, spec in specs("int8").items():
        assert (spec.compressor == "zstd") == path.endswith("/values")
        assert spec.sharded == (path.startswith("rows/") or path.endswith(("scales/row", "/values")))


def test_a_task_owns_one_object_of_every_array() -> None:
    arrays = specs("int8")
    assert arrays["rows/sequence"].object_path(17) == "rows/sequence/c/17"
    assert arrays["sites/embed/values"].object_path(17) == "sites/embed/values/c/17/0"
    assert arrays["statistics/mean"].object_path(17) == "statistics/mean/c/17/0/0"
    assert arrays["sites/embed/center"].object_path(0) == "sites/embed/center/c/0"
    assert commit_path(17) == "commits/17.json"


def test_sizes_follow_from_dtype_and_shape() -> None:
    arrays = specs("int8")
    for spec in arrays.values():
        assert spec.row_bytes == np.empty(spec.shape[1:], spec.dtype).nbytes
    assert arrays["rows/token"].chunks_per_shard == 4
    assert arrays["statistics/mean"].chunks_per_shard == 1


def test_holes_are_marked_in_the_row_arrays() -> None:
    assert {spec.fill for spec in row_arrays(LAYOUT, 150)[:3]} == {-1}


def test_statistics_are_as_wide_as_the_widest_site() -> None:
    assert {spec.shape[2:] for spec in statistics_arrays(SITES, 3)} == {(), (12,)}
    assert [spec.shape for spec in calibration_arrays(SITES)] == [(8,), (8,), (12,), (12,)]


def test_values_say_which_site_they_are() -> None:
    spec = specs("int8")[values_path("resid_post.0")]
    assert dict(spec.attributes) == {
        "actstore": {"encoding": "int8", "site": "resid_post.0", "module": "blocks.0"},
    }


@pytest.mark.parametrize("encoding", QUANTIZERS)
def test_metadata_paths_are_those_of_the_documents(encoding: str) -> None:
    arrays = tuple(specs(encoding).values())
    assert metadata_paths(arrays) == list(zarr_documents(arrays, {}))
