"""Rows as files of common formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from actstore.errors import UsageError
from actstore.store.browse.rows import Rows
from actstore.store.read.place import refuse_in_store

__all__ = ["FORMATS", "check_row_file", "write_rows"]


def check_row_file(path: Path) -> None:
    """Refuse a file that `write_rows` would refuse, before anything is read.

    Raises
    ------
    UsageError
        If it exists, or its suffix names no format.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"{path}: rows are written as {', '.join(FORMATS)}; name a file with one of these suffixes")
    if path.exists():
        raise UsageError(f"{path} exists; choose another name or remove it")
    refuse_in_store(path, "--out")


def write_rows(found: Rows, path: Path) -> None:
    """Write rows to a new file, in the format that its suffix names.

    Parquet has the columns of `Rows.table`; CSV a column for each feature, ``SITE:0`` to ``SITE:D-1``; NPZ the arrays
    `values` (float32 [N, S, D]), `sites`, `row`, `id`, `position` and `residue`.

    Raises
    ------
    UsageError
        If the file exists, cannot be written, or has another suffix.
    """
    check_row_file(path)
    try:
        with path.open("xb") as file:
            try:
                FORMATS[path.suffix](found, file)
            except BaseException:  # also an interruption: half a file would be in the way of the next one
                path.unlink()
                raise
    except FileExistsError:
        raise UsageError(f"{path} exists; choose another name or remove it") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None


def _parquet(found: Rows, file: BinaryIO) -> None:
    pq.write_table(found.table(), file)


def _csv(found: Rows, file: BinaryIO) -> None:
    table = found.table().select(["row", "id", "position", "residue"])
    for slot, site in enumerate(found.sites):
        for feature in range(found.values_NSD.shape[2]):
            table = table.append_column(f"{site}:{feature}", pa.array(found.values_NSD[:, slot, feature]))
    pa_csv.write_csv(table, file)


def _npz(found: Rows, file: BinaryIO) -> None:
    np.savez(
        file,
        values=found.values_NSD,
        sites=np.array(found.sites),
        row=found.row_N,
        id=np.array(found.ids),
        position=found.position_N,
        residue=np.array(list(found.residues)),
    )


FORMATS: Final[Mapping[str, Callable[[Rows, BinaryIO], None]]] = MappingProxyType(
    {".parquet": _parquet, ".npz": _npz, ".csv": _csv}
)
"""Writers by suffix."""
