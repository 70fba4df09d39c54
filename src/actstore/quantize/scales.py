"""Functions shared by the encodings with scales."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Calibration, Float32s
from actstore.errors import NumericsError

__all__ = ["block_rows", "check_scales", "needed", "round_up"]

_BLOCK_VALUES: Final = 1 << 18
_FEWEST_ROWS: Final = 16


def block_rows(width: int) -> int:
    """Return how many rows of D channels to work on at a time.

    The temporaries of a block stay in the cache of a core; with much smaller blocks, threads mostly wait for the
    interpreter lock.
    """
    return max(_BLOCK_VALUES // max(width, 1), _FEWEST_ROWS)


def needed(calibration: Calibration | None, *, encoding: str) -> Calibration:
    """Return the calibration; raises `ValueError` if there is none."""
    if calibration is None:
        raise ValueError(f"{encoding} needs a calibration (centre and channel scale)")
    return calibration


def round_up(scale: Float32s) -> NDArray[np.float16]:
    """Round non-negative float32 scales to the next float16 that is not smaller; infinite beyond 65,504."""
    with np.errstate(over="ignore"):
        rounded = scale.astype(np.float16)
        return np.where(rounded.astype(np.float32) < scale, np.nextafter(rounded, np.float16(np.inf)), rounded)


def check_scales(scale_NG: NDArray[np.float16], *, start: int, encoding: str, most: float) -> None:
    """Raise `NumericsError` for the first row with a scale that is not finite.

    Parameters
    ----------
    scale_NG
        Scales of some rows.
    start
        Number of the first of these rows, for the message.
    encoding
        Name of the encoding.
    most
        Largest distance from the calibrated centre, in channel deviations, that a finite scale can hold.
    """
    bad_N = np.flatnonzero(~np.isfinite(scale_NG).all(axis=1))
    if len(bad_N):
        scale_G = np.abs(scale_NG[bad_N[0]])
        bad = scale_G[~np.isfinite(scale_G)][0]
        raise NumericsError(
            f"{encoding} scale of row {start + bad_N[0]} is {bad}: the row holds NaN or Inf, or a value "
            f"more than {int(most):,} channel deviations from the calibrated centre; "
            "use encoding = 'bfloat16' for this model"
        )
