"""Signal to quantisation noise of every encoding, and of the int8 that everybody writes first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from actstore.contracts.planes import Calibration, Float32s, Planes, Quantizer
from actstore.quantize.fidelity import fidelity, round_trip_noise
from actstore.quantize.int8 import RowScaledInt8
from actstore.quantize.moments import Moments
from actstore.quantize.table import QUANTIZERS

__all__ = ["ENCODINGS", "NaiveInt8", "Noise", "decoded", "signal_to_noise"]

_BLOCK_ROWS: Final = 8192
_LEVELS: Final = 127


class NaiveInt8(RowScaledInt8):
    """One scale for each row, its largest magnitude / 127: no centre, no channel scales."""

    name: Final = "naive_int8"
    calibrated: Final = False

    def encode(self, values_ND: Float32s, calibration: Calibration | None = None) -> Planes:
        """Round to the nearest of 255 levels."""
        del calibration
        scale_N1 = (np.abs(values_ND).max(axis=1, keepdims=True) / _LEVELS).astype(np.float16)
        step_N1 = np.where(scale_N1 > 0, scale_N1, np.float16(1)).astype(np.float32)
        # The rounded scale may be a little too small for the largest value.
        q_ND = np.clip(np.rint(values_ND / step_N1), -_LEVELS, _LEVELS)
        return Planes(q_ND.astype(self.stored_dtype), scale_N1)

    def decode(self, planes: Planes, calibration: Calibration | None = None) -> Float32s:
        """Multiply by the scale of the row."""
        del calibration
        assert planes.scale_NG is not None
        decoded: Float32s = planes.values_ND.astype(np.float32) * planes.scale_NG.astype(np.float32)
        return decoded


ENCODINGS: Final[Mapping[str, Quantizer]] = MappingProxyType({**QUANTIZERS, NaiveInt8.name: NaiveInt8()})
"""Everything that is compared, by name."""


class Noise(NamedTuple):
    """What an encoding costs and keeps."""

    median_db: float | None
    """Signal to noise of the median channel; None if nothing was lost in it."""
    worst_db: float | None
    worst_channel: int | None
    bits_per_value: float
    """Scales included; what is stored once for a site (the calibration) is not."""


def signal_to_noise(values_ND: Float32s, quantizer: Quantizer, calibration: Calibration) -> Noise:
    """Encode and decode rows, and compare the error of each channel with its variance (see `fidelity`)."""
    noise_D = np.zeros(values_ND.shape[1])
    stored_bytes = 0
    for block_ND in _blocks(values_ND):
        planes = quantizer.encode(block_ND, _for(quantizer, calibration))
        noise_D += round_trip_noise(block_ND, planes, quantizer, _for(quantizer, calibration))
        stored_bytes += planes.values_ND.nbytes + (0 if planes.scale_NG is None else planes.scale_NG.nbytes)
    kept = fidelity(Moments.of(values_ND).m2_D, noise_D)
    return Noise(*kept, bits_per_value=8 * stored_bytes / values_ND.size)


def decoded(values_ND: Float32s, quantizer: Quantizer, calibration: Calibration) -> Float32s:
    """Return the rows as they come back from a store, float32 [N, D]."""
    decoded_ND = np.empty_like(values_ND)
    for source_ND, target_ND in zip(_blocks(values_ND), _blocks(decoded_ND), strict=True):
        needed = _for(quantizer, calibration)
        target_ND[:] = quantizer.decode(quantizer.encode(source_ND, needed), needed)
    return decoded_ND


def _blocks(values_ND: Float32s) -> Iterator[Float32s]:
    return (values_ND[start : start + _BLOCK_ROWS] for start in range(0, len(values_ND), _BLOCK_ROWS))


def _for(quantizer: Quantizer, calibration: Calibration) -> Calibration | None:
    return calibration if quantizer.calibrated else None
