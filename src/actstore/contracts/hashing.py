"""Random draws that are frozen on disk: a keyed hash, the same in every language and every NumPy release.

A plan must be identical years later on another machine. So no draw that affects a store comes from `numpy.random`,
whose streams may change between releases. Every draw is the splitmix64 finaliser
(Steele, Lea & Flood, 2014, "Fast splittable pseudorandom number generators") of a key and a counter.
Permutations are stable argsorts of such draws. `docs/reference/format.md` gives the definition; the doctests are test
vectors.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Purpose", "derive_key", "draws", "hash_text", "permutation", "uniform"]

UInt64s = NDArray[np.uint64]

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MASK: Final = (1 << 64) - 1


class Purpose(IntEnum):
    """Use of a draw; part of its key, so that no two uses share a stream."""

    SPLIT = 1
    SEQUENCE_ORDER = 2
    ROW_COUNT = 3
    RESIDUES = 4
    ROW_ORDER = 5
    CALIBRATION = 6
    VERIFY = 7
    WINDOW_ORDER = 8
    FILL_ORDER = 9
    TRAINING = 10


def _mix(values: UInt64s) -> UInt64s:
    """Apply the splitmix64 finaliser, a bijection on 64-bit words."""
    z = values.copy()
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def hash_text(text: str) -> int:
    """Return the first eight bytes, little-endian, of the BLAKE2b digest (8-byte output) of the UTF-8 text.

    Examples
    --------
    >>> hash_text("P62258")
    4235437287920438186
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def derive_key(seed: int, purpose: Purpose, *path: int) -> int:
    """Fold a seed, a purpose and any further integers into one 64-bit key.

    Examples
    --------
    >>> derive_key(0, Purpose.ROW_ORDER, 17) != derive_key(0, Purpose.ROW_ORDER, 18)
    True
    """
    state = np.zeros(1, dtype=np.uint64)
    for part in (seed, int(purpose), *path):
        state = _mix((state ^ np.uint64(part & _MASK)) + _GOLDEN)
    return int(state[0])


def draws(key: int, counters: UInt64s) -> UInt64s:
    """Return one 64-bit draw for each counter: ``mix((key ^ mix(counter)) + golden)``.

    Counters may be positions (0, 1, 2, ...) or hashes of names; equal counters give equal draws.

    Parameters
    ----------
    key
        From `derive_key`.
    counters
        uint64, any shape.
    """
    return _mix((_mix(counters) ^ np.uint64(key)) + _GOLDEN)


def uniform(key: int, counters: UInt64s) -> NDArray[np.float64]:
    """Return one number in [0, 1) for each counter: the upper 53 bits of its draw over 2**53.

    Examples
    --------
    >>> u = uniform(derive_key(0, Purpose.SPLIT), np.arange(100_000, dtype=np.uint64))
    >>> bool(abs(u.mean() - 0.5) < 0.005)
    True
    """
    return (draws(key, counters) >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def permutation(key: int, count: int) -> NDArray[np.int64]:
    """Return a permutation of ``0 .. count - 1``: the stable argsort of the draws of the counters.

    Examples
    --------
    >>> permutation(derive_key(0, Purpose.ROW_ORDER, 0), 8).tolist()
    [0, 7, 6, 2, 1, 5, 3, 4]
    """
    return np.argsort(draws(key, np.arange(count, dtype=np.uint64)), kind="stable")
