"""One site of a store as an array that is read and decoded where it is indexed."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Float32s
from actstore.errors import UsageError
from actstore.store.browse.random_rows import RandomRows
from actstore.store.browse.row_numbers import RowNumbers

__all__ = ["SiteArray"]

_BLOCK_ROWS: Final = 8192


class SiteArray:
    """Rows of one site, float32 [N, D], without holes, in the order of the store.

    Place n is row ``store.row_numbers()[n]``. Nothing is read before it is indexed.

    Parameters
    ----------
    name
        The site.
    width
        Features D.
    rows, numbers
        The rows, and which of them there are.
    token
        Names the content, for caches of dask.

    Examples
    --------
    ::

        site = store.site("resid_post.3")
        site[:1000].mean(axis=0)
        site[[7, 3], :16]
        site.dask().std(axis=0).compute()
    """

    ndim = 2
    dtype = np.dtype(np.float32)

    def __init__(self, name: str, width: int, rows: RandomRows, numbers: RowNumbers, *, token: str) -> None:
        self.name = name
        self.shape = (len(numbers), width)
        self._rows, self._numbers, self._token = rows, numbers, token

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<SiteArray {self.name}: float32 {self.shape}>"

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 - whatever NumPy takes, and gives
        """Read rows: an index, a slice, a list or a mask for axis 0; anything of NumPy for axis 1.

        Raises
        ------
        IndexError
            If a place is outside, or there are more than two axes.
        """
        rows, *rest = key if isinstance(key, tuple) else (key,)
        if len(rest) > 1 or rows is Ellipsis or rows is None:
            raise IndexError(f"index {self!r} with rows, and features if need be")
        values_ND = self._read(self._places(rows))
        found = values_ND if isinstance(rows, slice) or np.ndim(rows) else values_ND[0]
        return found[..., rest[0]] if rest else found

    def __array__(
        self,
        dtype: Any = None,  # noqa: ANN401 - as NumPy asks
        copy: bool | None = None,  # noqa: FBT001 - as NumPy asks
    ) -> NDArray[Any]:
        if copy is False:
            raise ValueError("these rows are decoded, which makes new memory")
        return np.asarray(self.to_numpy(), dtype=dtype)

    def to_numpy(self, split: str | None = None) -> Float32s:
        """Read all rows, or those of a split, into memory: float32 [N, D].

        Raises
        ------
        UsageError
            If there is no such split.
        """
        places = self._numbers.places(split)
        return self._read(np.arange(places.start, places.stop))

    def dask(self) -> Any:  # noqa: ANN401 - dask is optional
        """Return a `dask.array` of the same rows, a chunk for each stored object.

        Raises
        ------
        UsageError
            If dask is not installed.
        """
        try:
            import dask.array as da  # noqa: PLC0415 - an optional dependency
        except ImportError as error:
            raise UsageError("dask is not installed: pip install 'actstore[dask]'") from error
        chunks = (tuple(self._numbers.rows_T.tolist()), (self.shape[1],))
        name, meta = f"{self.name}-{self._token}", np.empty((0, 0), dtype=np.float32)
        return da.from_array(self, chunks=chunks, name=name, meta=meta)  # type: ignore[no-untyped-call]

    def _places(self, rows: Any) -> NDArray[np.int64]:  # noqa: ANN401 - as `__getitem__`
        """Return the places that an index of axis 0 means."""
        if isinstance(rows, slice):
            return np.arange(*rows.indices(len(self)))
        index = np.asarray(rows)
        if index.dtype == bool:
            if index.shape != (len(self),):
                raise IndexError(f"a mask of shape {index.shape} for {len(self):,} rows")
            return np.flatnonzero(index)
        if index.size and (index.dtype.kind not in "iu" or index.ndim > 1):
            raise IndexError(f"rows are indexed by whole numbers in one axis, not by {index.dtype} {index.shape}")
        place_N = np.atleast_1d(index).astype(np.int64)
        place_N = np.where(place_N < 0, place_N + len(self), place_N)
        if ((place_N < 0) | (place_N >= len(self))).any():
            raise IndexError(f"{rows!r:.80} is outside of {len(self):,} rows")
        return place_N

    def _read(self, place_N: NDArray[np.int64]) -> Float32s:
        """Read rows by their places, a block at a time: encoded rows need room beside the decoded ones."""
        values_ND = np.empty((len(place_N), self.shape[1]), dtype=np.float32)
        row_N = self._numbers.at(place_N)
        for start in range(0, len(place_N), _BLOCK_ROWS):
            here = slice(start, start + _BLOCK_ROWS)
            values_ND[here] = self._rows.read(row_N[here]).values_NSD[:, 0]
        return values_ND
