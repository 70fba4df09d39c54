"""The rows of a task at one site -> planes, what is recorded of them, and what is wrong with them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Calibration, Float32s, Planes, Quantizer
from actstore.quantize.measure import Measures, measure

__all__ = ["BadRow", "EncodedRows", "count_beyond", "encode_rows"]


class BadRow(NamedTuple):
    """The first row that holds NaN or Inf."""

    row: int
    values_D: Float32s
    rows: int
    """How many there are."""


class EncodedRows(NamedTuple):
    """Rows of one site."""

    planes: Planes
    measures: Measures
    beyond_N: NDArray[np.int64] | None
    """Values of each row that the encoding cannot hold; None where it holds any."""
    bad: BadRow | None


def encode_rows(values_ND: Any, quantizer: Quantizer, calibration: Calibration | None) -> EncodedRows:  # noqa: ANN401
    """Encode and measure rows where they lie.

    Parameters
    ----------
    values_ND
        float32 [N, D]: an array of finite numbers on the host, or a tensor of any on the device of a model.
    quantizer, calibration
        The encoding.

    Raises
    ------
    NumericsError
        If a row lies so far from the calibration that the encoding cannot hold it.
    """
    if not isinstance(values_ND, np.ndarray):
        from actstore.quantize.torch_encoding import encode_tensor  # noqa: PLC0415 - whoever has tensors has torch

        return encode_tensor(values_ND, quantizer, calibration)
    planes = quantizer.encode(values_ND, calibration)
    measures = measure(values_ND, planes, quantizer, calibration)
    return EncodedRows(planes, measures, count_beyond(values_ND, quantizer), None)


def count_beyond(values_ND: Float32s, quantizer: Quantizer) -> NDArray[np.int64] | None:
    """Count the values of each row that an encoding cannot hold; None if it holds any."""
    if not np.isfinite(quantizer.largest):
        return None
    beyond_N: NDArray[np.int64] = (np.abs(values_ND) > quantizer.largest).sum(axis=1)
    return beyond_N
