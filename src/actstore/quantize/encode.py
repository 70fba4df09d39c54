"""Rows of a task at one site -> `EncodedRows`, on the host or on the device of the model."""

from __future__ import annotations

from typing import Any

import numpy as np

from actstore.contracts.planes import Calibration, Planes, Quantizer
from actstore.quantize.encoded_rows import BadRow, EncodedRows, count_beyond
from actstore.quantize.measure import measure

__all__ = ["encode_rows"]


def encode_rows(values_ND: Any, quantizer: Quantizer, calibration: Calibration | None) -> EncodedRows:  # noqa: ANN401
    """Encode and measure rows on the host or on their device.

    Parameters
    ----------
    values_ND
        float32 [N, D]: an array of finite numbers on the host, or a tensor of any numbers on the device of a model.
        Or `Planes`: rows of another store with this encoding, which stay as they are. Their measures are those of the
        decoded values, so their noise is 0.
    quantizer, calibration
        The encoding.

    Raises
    ------
    NumericsError
        If a row lies so far from the calibration that the encoding cannot hold it.
    """
    if isinstance(values_ND, Planes):
        return _measured(values_ND, quantizer, calibration)
    if not isinstance(values_ND, np.ndarray):
        from actstore.quantize.torch_encoding import encode_tensor  # noqa: PLC0415 - only with torch

        return encode_tensor(values_ND, quantizer, calibration)
    planes = quantizer.encode(values_ND, calibration)
    measures = measure(values_ND, planes, quantizer, calibration)
    return EncodedRows(planes, measures, count_beyond(values_ND, quantizer), None)


def _measured(planes: Planes, quantizer: Quantizer, calibration: Calibration | None) -> EncodedRows:
    """Measure rows that are encoded already."""
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is reported
        values_ND = quantizer.decode(planes, calibration)
    bad, bad_N = None, np.flatnonzero(~np.isfinite(values_ND).all(axis=1))
    if len(bad_N):
        bad = BadRow(int(bad_N[0]), values_ND[bad_N[0]].copy(), len(bad_N))
        values_ND[bad_N] = 0
        planes = quantizer.encode(values_ND, calibration)
    measures = measure(values_ND, planes, quantizer, calibration)
    return EncodedRows(planes, measures, count_beyond(values_ND, quantizer), bad)
