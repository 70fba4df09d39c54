"""The `zarr.json` documents; zarr-python writes them to memory, and they are copied from there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import zarr
from zarr.codecs import BloscCodec, ZstdCodec
from zarr.storage import MemoryStore

from actstore.store.format.layout import ArraySpec

__all__ = ["zarr_documents"]


def zarr_documents(specs: Iterable[ArraySpec], attributes: Mapping[str, Any]) -> dict[str, bytes]:
    """Return path and content of the metadata of the root group, every group on the way, and every array.

    Parameters
    ----------
    specs
        The arrays.
    attributes
        Attributes of the root group.
    """
    store = MemoryStore()
    root = zarr.create_group(store, attributes=dict(attributes))
    for spec in specs:
        root.create_array(
            spec.path,
            shape=spec.shape,
            dtype=spec.dtype,
            chunks=spec.chunk,
            shards=spec.shard if spec.sharded else None,
            compressors=_compressor(spec),
            filters=None,
            fill_value=spec.fill,
            attributes=dict(spec.attributes),
            dimension_names=None,
        )
    return {path: buffer.to_bytes() for path, buffer in sorted(store._store_dict.items())}  # noqa: SLF001


def _compressor(spec: ArraySpec) -> ZstdCodec | BloscCodec | None:
    match spec.compressor:
        case "none":
            return None
        case "zstd":
            return ZstdCodec(level=3)
        case "blosc":
            return BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle", typesize=int(spec.dtype[2:]))
        case unknown:
            raise ValueError(f"no compressor {unknown!r}")
