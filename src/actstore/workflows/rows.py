"""Rows out of a store: those of some proteins, or by their numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.progress import Progress, Silent
from actstore.errors import UsageError
from actstore.store.browse.rows import Rows
from actstore.store.browse.store import open_store

__all__ = ["read_rows"]


def read_rows(
    source: str | os.PathLike[str],
    *,
    sequences: Sequence[str] = (),
    rows: Sequence[int] = (),
    sites: Sequence[str] | None = None,
    positions: Sequence[int] | NDArray[np.int64] | None = None,
    uri: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Rows:
    """Read the rows of some proteins, in the order of their residues, then rows by their numbers.

    Parameters
    ----------
    source
        Path or URL of a store, or a manifest file.
    sequences
        Ids of proteins.
    rows
        Numbers of rows.
    sites
        Names or globs; None for all.
    positions
        Residues of each protein, counted from 0; None for all.
    uri
        Where the store of a manifest file is, if not where the file says.
    storage_options
        Passed to fsspec.
    progress
        Where to report.

    Raises
    ------
    UsageError
        If neither proteins nor rows are given, or there is no such protein, position, row or site.
    StoreError
        If the store cannot be read.
    """
    if not sequences and not len(rows):
        raise UsageError("no rows asked for: give --sequence ID, or --rows 17,99")
    if positions is not None and not sequences:
        raise UsageError("--position chooses residues of proteins: give --sequence ID")
    with open_store(source, uri=uri, storage_options=storage_options, progress=progress or Silent()) as store:
        numbers = [np.asarray(rows, dtype=np.int64)]
        proteins = [store.row_numbers_of(sequence, positions=positions) for sequence in sequences]
        found = store.read(np.concatenate([*proteins, *numbers]), sites)
        found.ids  # noqa: B018 - read before the store is closed
        return found
