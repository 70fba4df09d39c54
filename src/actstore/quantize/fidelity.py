"""Signal-to-noise ratio of an encoding."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Calibration, Float32s, Planes, Quantizer
from actstore.quantize.moments import sum_of_squares

__all__ = ["Fidelity", "fidelity", "round_trip_noise"]


class Fidelity(NamedTuple):
    """Ratio of signal to quantisation noise over channels, in decibels; None if nothing was lost."""

    median_db: float | None
    worst_db: float | None
    worst_channel: int | None


def round_trip_noise(
    values_ND: Float32s, planes: Planes, quantizer: Quantizer, calibration: Calibration | None
) -> NDArray[np.float64]:
    """Return the sum of squared differences of each channel, [D], after decoding what was encoded."""
    error_ND = quantizer.decode(planes, calibration)
    error_ND -= values_ND
    return sum_of_squares(error_ND)


def fidelity(m2_D: NDArray[np.float64], noise_D: NDArray[np.float64]) -> Fidelity:
    """Summarise ``10 log10(m2 / noise)``, both sums over the same rows.

    Channels that do not vary carry no signal and are left out; channels without noise count as infinitely good.
    """
    varying = np.flatnonzero(m2_D > 0)
    with np.errstate(divide="ignore"):
        db = 10.0 * np.log10(m2_D[varying] / noise_D[varying])
    if not db.size or not np.isfinite(db).any():
        return Fidelity(None, None, None)
    worst = int(np.argmin(db))
    median = float(np.median(db))
    return Fidelity(median if np.isfinite(median) else None, float(db[worst]), int(varying[worst]))
