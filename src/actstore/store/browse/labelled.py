"""A store as an `xarray.Dataset`: activations with protein, position, residue and split of each row, read on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from actstore.errors import UsageError
from actstore.store.browse.all_proteins import FindsProteins
from actstore.store.browse.random_rows import RandomRows
from actstore.store.browse.row_numbers import RowNumbers
from actstore.store.browse.site_array import SiteArray
from actstore.store.read.manifest import Manifest

if TYPE_CHECKING:
    import xarray

__all__ = ["labelled_rows"]


def labelled_rows(
    arrays: Sequence[SiteArray], rows: RandomRows, numbers: RowNumbers, proteins: FindsProteins, manifest: Manifest
) -> xarray.Dataset:
    """Return the rows of some sites of one width, with a chunk for each stored object.

    Parameters
    ----------
    arrays
        The sites.
    rows
        Reads the origin of rows.
    numbers, proteins, manifest
        Of the store.

    Raises
    ------
    UsageError
        If xarray or dask is not installed.
    """
    try:
        import dask  # noqa: PLC0415 - an optional dependency
        import dask.array as da  # noqa: PLC0415
        import xarray as xr  # noqa: PLC0415
    except ImportError as error:
        raise UsageError("xarray is not installed: pip install 'actstore[xarray]'") from error

    def column(dtype: Any, of_rows: Callable[[NDArray[np.int64]], NDArray[Any]]) -> Any:  # noqa: ANN401 - of dask
        parts = []
        for task, count in zip(numbers.task_T.tolist(), numbers.rows_T.tolist(), strict=True):
            row_N = task * manifest.frozen.layout.task_rows + np.arange(count)
            parts.append(da.from_delayed(dask.delayed(of_rows)(row_N), (count,), dtype))  # type: ignore[no-untyped-call, attr-defined]
        return da.concatenate(parts) if parts else np.empty(0, dtype)  # type: ignore[no-untyped-call]

    def letters(row_N: NDArray[np.int64]) -> tuple[list[str], str]:
        origin = rows.read(row_N).origin
        return proteins.letters(origin.sequence_R, origin.position_R)

    splits = [manifest.frozen.split_of(task) for task in numbers.task_T.tolist()]
    values = da.stack([array.dask() for array in arrays], axis=1)  # type: ignore[no-untyped-call]
    return xr.Dataset(
        {"activations": (("row", "site", "feature"), values)},
        coords={
            "row": numbers.at(np.arange(len(numbers))),
            "site": [array.name for array in arrays],
            "sequence": ("row", column(object, lambda row_N: np.array(letters(row_N)[0], dtype=object))),
            "position": ("row", column(np.int32, lambda row_N: rows.read(row_N).origin.position_R)),
            "residue": ("row", column("<U1", lambda row_N: np.array(list(letters(row_N)[1]), dtype="<U1"))),
            "split": ("row", np.repeat(np.array(splits, dtype=object), numbers.rows_T)),
        },
        attrs={"model": manifest.model.name, "encoding": manifest.encoding, "manifest_sha256": manifest.digest},
    )
