"""Files mapped side by side in one range of addresses, so that they can be indexed as one array."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["PAGE_BYTES", "AddressRange", "can_map_at"]

PAGE_BYTES: Final = mmap.PAGESIZE
_READ_ONLY: Final = 1
_SHARED_AT: Final = 0x01 | 0x10
"""MAP_SHARED | MAP_FIXED, the same numbers on Linux and macOS."""
_FORGET: Final = 4
"""MADV_DONTNEED, the same number on both."""
_Scalar = TypeVar("_Scalar", bound=np.generic)


def can_map_at() -> bool:
    """Return whether this system maps files at chosen addresses."""
    return sys.platform in {"linux", "darwin"}


class AddressRange:
    """A reserved range of addresses into which files are mapped, read-only.

    NumPy can use the whole range as one array. Access to a part without a mapping kills the process, so callers must
    map first. The operating system unmaps everything when the last array on the range is gone.

    Parameters
    ----------
    size
        Bytes to reserve; costs neither memory nor swap.
    """

    def __init__(self, size: int) -> None:
        reserved = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0)
        # Only arrays reference the addresses, so that they are released with the last array.
        self._bytes: NDArray[np.uint8] = np.frombuffer(reserved, dtype=np.uint8)
        self._address = self._bytes.ctypes.data
        self._libc = _libc()

    def array(self, dtype: np.dtype[_Scalar], shape: tuple[int, ...]) -> NDArray[_Scalar]:
        """Return the range from its beginning as an array.

        It is not marked read-only, because torch does not accept such arrays; but writing to it kills the process.
        """
        if int(np.prod(shape)) * dtype.itemsize > len(self._bytes):
            raise ValueError(f"{shape} of {dtype} are more than {len(self._bytes)} bytes")
        return np.asarray(_Stretch(self._bytes, dtype, shape))

    def map(self, descriptor: int, start: int, stop: int) -> None:
        """Map the beginning of an open file to bytes [start, stop), `start` at a page border.

        The file must be at least that long: access to a page beyond its end kills the process.
        """
        if start % PAGE_BYTES or not 0 <= start < stop <= len(self._bytes):
            raise ValueError(f"bytes {start} to {stop} of {len(self._bytes)}: not inside, or not at a page border")
        at = self._libc.mmap(self._address + start, stop - start, _READ_ONLY, _SHARED_AT, descriptor, 0)
        if at != self._address + start:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def view(self, start: int, stop: int) -> memoryview:
        """Return bytes [start, stop)."""
        return self._bytes[start:stop].data

    def touch(self, start: int, stop: int) -> None:
        """Load the pages of bytes [start, stop), so that a gather need not wait for them."""
        self._bytes[start:stop:PAGE_BYTES].max(initial=0)

    def forget(self, start: int, stop: int) -> None:
        """Release the pages of bytes [start, stop) from this process; access loads them again."""
        if not 0 <= start < stop <= len(self._bytes):
            # After `close` the addresses may belong to other memory, which this would clear.
            raise ValueError(f"bytes {start} to {stop} of {len(self._bytes)}")
        first = start - start % PAGE_BYTES
        self._libc.madvise(self._address + first, stop - first, _FORGET)

    def close(self) -> None:
        """Release the range. The addresses are released when no array on it is left."""
        self._bytes = np.empty(0, dtype=np.uint8)


class _Stretch:
    """Exposes memory to NumPy, and keeps it as long as the array exists."""

    def __init__(self, memory: NDArray[np.uint8], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self._memory = memory
        self.__array_interface__ = {
            "data": (memory.ctypes.data, False),
            "shape": shape,
            "typestr": dtype.str,
            "version": 3,
        }


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_size_t
    libc.mmap.argtypes = [ctypes.c_size_t, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_longlong]
    libc.madvise.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
    return libc
