"""The `zarr.json` documents, as zarr-python understands them."""

import json

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import MemoryStore

from actstore.contracts.models import Site
from actstore.quantize.table import QUANTIZERS
from actstore.store.format.layout import ArraySpec, StoreLayout, array_specs
from actstore.store.format.metadata import zarr_documents

SITES = (Site("embed", "embeddings", 8), Site("resid_post.0", "blocks.0", 12))


def opened(documents: dict[str, bytes]) -> zarr.Group:
    store = MemoryStore()
    for path, data in documents.items():
        sync(store.set(path, default_buffer_prototype().buffer.from_bytes(data)))
    return zarr.open_group(store, mode="r")


def specs(encoding: str, compressor: str) -> tuple[ArraySpec, ...]:
    return array_specs(StoreLayout(SITES, QUANTIZERS[encoding], compressor, 64, 16), length=150, tasks=3)


@pytest.mark.parametrize("compressor", ["none", "zstd", "blosc"])
@pytest.mark.parametrize("encoding", QUANTIZERS)
def test_zarr_sees_every_array_as_it_was_specified(encoding: str, compressor: str) -> None:
    arrays = specs(encoding, compressor)
    root = opened(zarr_documents(arrays, {"actstore": {"format": "actstore/2"}}))
    assert dict(root.attrs) == {"actstore": {"format": "actstore/2"}}
    for spec in arrays:
        array = root[spec.path]
        assert isinstance(array, zarr.Array)
        assert array.shape == spec.shape
        assert array.dtype == np.dtype(spec.dtype)
        assert array.chunks == spec.chunk
        assert array.shards == (spec.shard if spec.sharded else None)
        assert array.fill_value == spec.fill
        assert dict(array.attrs) == dict(spec.attributes)


def test_an_array_without_objects_reads_as_fill_values() -> None:
    array = opened(zarr_documents(specs("int8", "none"), {}))["rows/sequence"]
    assert isinstance(array, zarr.Array)
    assert np.unique(np.asarray(array[...])).tolist() == [-1]


def test_documents_are_plain_json_of_zarr_3() -> None:
    for path, document in zarr_documents(specs("int8", "blosc"), {}).items():
        assert path.split("/")[-1] == "zarr.json"
        assert json.loads(document)["zarr_format"] == 3


def test_the_sharding_index_is_at_the_end_and_checksummed() -> None:
    (codec,) = json.loads(zarr_documents(specs("int8", "zstd"), {})["sites/embed/values/zarr.json"])["codecs"]
    assert codec["name"] == "sharding_indexed"
    assert codec["configuration"]["index_location"] == "end"
    assert [one["name"] for one in codec["configuration"]["index_codecs"]] == ["bytes", "crc32c"]
    assert [one["name"] for one in codec["configuration"]["codecs"]] == ["bytes", "zstd"]


def test_documents_are_the_same_every_time() -> None:
    assert zarr_documents(specs("int8", "blosc"), {"a": 1}) == zarr_documents(specs("int8", "blosc"), {"a": 1})


def test_an_unknown_compressor_is_refused() -> None:
    spec = ArraySpec("x", "<i8", (4,), (4,), (2,), 0, sharded=True, compressor="lzma")
    with pytest.raises(ValueError, match="no compressor 'lzma'"):
        zarr_documents([spec], {})
