"""A permutation of any number of rows without memory: each place is computed when it is needed."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.hashing import Purpose, derive_key, draws

__all__ = ["Permutation"]

_ROUNDS: Final = 6
_FEWEST_BITS: Final = 6
"""Halves of one or two bits have too few round functions: pairs of neighbours were off by 14 % at 5 and 8 rows."""
_UInt32s = NDArray[np.uint32]


class Permutation:
    """A pseudorandom permutation of ``0 .. count - 1``, one for each seed and epoch.

    A Feistel network over the smallest power of two that holds `count`, at least 64. Four rounds of a random function
    are a permutation that cannot be distinguished from a random one (Luby & Rackoff, 1988); here there are six. The
    network is applied again until a place below `count` is reached (Black & Rogaway, 2002). The round function is the
    32-bit finaliser of MurmurHash3.

    Examples
    --------
    >>> places = Permutation(10, seed=0, epoch=0)(0, 10)
    >>> sorted(places.tolist()) == list(range(10)) and places.tolist() != list(range(10))
    True
    """

    def __init__(self, count: int, *, seed: int, epoch: int) -> None:
        bits = max((count - 1).bit_length(), _FEWEST_BITS)
        self._count = count
        # Halves swap places every round; an even number of rounds puts them back.
        self._left_bits, self._right_bits = bits // 2, bits - bits // 2
        key = derive_key(seed, Purpose.WINDOW_ORDER, epoch)
        self._keys = (draws(key, np.arange(_ROUNDS, dtype=np.uint64)) >> np.uint64(32)).astype(np.uint32)

    def __call__(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the elements at places [start, stop) of the permutation."""
        if not 0 <= start <= stop <= self._count:
            raise ValueError(f"places {start} to {stop} of {self._count}")
        place_P = self._encipher(np.arange(start, stop, dtype=np.int64))
        outside = np.flatnonzero(place_P >= self._count)
        while len(outside):
            walked = self._encipher(place_P[outside])
            place_P[outside] = walked
            outside = outside[walked >= self._count]
        return place_P

    def _encipher(self, place_P: NDArray[np.int64]) -> NDArray[np.int64]:
        left = (place_P >> self._right_bits).astype(np.uint32)
        right = (place_P & ((1 << self._right_bits) - 1)).astype(np.uint32)
        left_bits, right_bits = self._left_bits, self._right_bits
        for key in self._keys:
            left ^= _round(right, key, left_bits)
            left, right = right, left
            left_bits, right_bits = right_bits, left_bits
        return (left.astype(np.int64) << right_bits) | right


def _round(half: _UInt32s, key: np.uint32, bits: int) -> _UInt32s:
    """Return the upper `bits` bits of a hash of one half."""
    mixed = half ^ key
    mixed ^= mixed >> np.uint32(16)
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    mixed >>= np.uint32(32 - bits)
    return mixed
