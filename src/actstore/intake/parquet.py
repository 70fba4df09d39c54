"""Activation stores of BioNeMo: Parquet shards with a vector in each record, and `metadata.json`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from actstore.access.printable import printable
from actstore.access.regular_files import open_regular
from actstore.errors import SourceError
from actstore.intake.files import files_below, name_in, read_json, shown
from actstore.intake.parts import ACTIVATIONS, Opened, Opening, Part
from actstore.intake.raw import RawArray

__all__ = ["METADATA", "open_bionemo"]

METADATA: Final = "metadata.json"
_VECTORS: Final = "act"
_FEATURE: Final = "dim_"
"""Older stores have a column for each feature."""
_VALUES_AT_ONCE: Final = 1 << 24
_MOST_FEATURES: Final = 1 << 20


def open_bionemo(place: Path, opening: Opening) -> Opened:
    """Open an activation store.

    Parquet is read from its beginning to its end, and rows of a store are shuffled. So the rows are written to the
    temporary folder first, uncompressed.

    Raises
    ------
    SourceError
        If it is no such folder, its shards are not those that `metadata.json` says, or there is no room for the rows.
    """
    metadata = read_json(place / METADATA)
    shards = [path for path in files_below(place, ".parquet") if path.parent == place]
    width, rows, count = (metadata.get(key) for key in ("hidden_dim", "n_samples", "n_shards"))
    if not (type(width) is int and 1 <= width <= _MOST_FEATURES) or len(shards) != count or opening.scratch is None:
        raise SourceError(
            f"{shown(place)}: {METADATA} says {printable(str(count), most=40)} shards of "
            f"{printable(str(width), most=40)} features, and {len(shards)} .parquet files are there"
        )
    opened = Opened([], [place / METADATA, *shards], said=["Parquet shards are unpacked into the temporary folder"])
    model = metadata.get("model_name", metadata.get("model"))
    opened.model = model if isinstance(model, str) else None
    for index, path in enumerate(shards):
        spooled = opening.scratch / f"shard-{index}.f32"
        shard_rows = _spool(path, width, spooled)
        if shard_rows:
            array = RawArray(spooled, 0, "<f4", (shard_rows, width))
            opened.parts.append(Part(name_in(place, path), {ACTIVATIONS: array}, None))
    found = sum(part.rows for part in opened.parts)
    if found != rows:
        raise SourceError(
            f"{shown(place)}: {METADATA} says {printable(str(rows), most=40)} rows, its shards have {found:,}"
        )
    return opened


def _spool(path: Path, width: int, into: Path) -> int:
    """Write the rows of a shard as plain float32; return their number."""
    rows = 0
    with _readable(path):
        with open_regular(path):  # not a pipe
            pass
        file = pq.ParquetFile(path)
        with into.open("wb") as out:
            for batch in file.iter_batches(batch_size=max(_VALUES_AT_ONCE // width, 1)):
                values_ND = _vectors(path, batch, width)
                out.write(np.ascontiguousarray(values_ND, dtype="<f4").tobytes())
                rows += len(values_ND)
    return rows


def _vectors(path: Path, batch: Any, width: int) -> NDArray[Any]:  # noqa: ANN401 - of pyarrow
    names = batch.schema.names
    if _VECTORS in names:
        column = batch.column(_VECTORS)
        flat = column.flatten()
        is_even = pa.types.is_fixed_size_list(column.type) and column.type.list_size == width
        if not is_even or column.null_count or flat.null_count or not pa.types.is_floating(flat.type):
            raise SourceError(f"{shown(path)}: {_VECTORS} is not a column of {width:,} numbers in each record")
        values: NDArray[Any] = flat.to_numpy(zero_copy_only=False).reshape(-1, width)
        return values
    columns = [f"{_FEATURE}{feature}" for feature in range(width)]
    if not set(columns) <= set(names):
        raise SourceError(f"{shown(path)}: has neither {_VECTORS} nor {_FEATURE}0 to {_FEATURE}{width - 1}")
    return np.stack([batch.column(one).to_numpy(zero_copy_only=False) for one in columns], axis=1)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"{shown(path)}: cannot be unpacked: {error.strerror or printable(str(error))}; set TMPDIR to "
            "a folder with room for the rows"
        ) from error
    except (pa.ArrowException, ValueError) as error:
        raise SourceError(f"{shown(path)}: cannot be read as Parquet: {printable(str(error))}") from error
