"""Rows encoded in memory, as a reader would lay them out: for tests of what gathers them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Calibration
from actstore.contracts.windows import RowBuffer, RowLayout
from actstore.quantize.table import QUANTIZERS
from actstore.store.read.decoding import RowDecoding

__all__ = ["Encoded", "encode_rows"]


class Encoded(NamedTuple):
    """A buffer, how to decode it, and what its quantizer makes of every row."""

    buffer: RowBuffer
    decoding: RowDecoding
    decoded_NSD: NDArray[np.float32]


def encode_rows(
    encoding: str,
    *,
    rows: int,
    width: int,
    columns: tuple[int, ...] = (2, 0),
    stored_sites: int = 4,
    pad_groups: int = 0,
) -> Encoded:
    """Encode random rows of some of the sites that a store has.

    Parameters
    ----------
    encoding
        Name of the encoding.
    rows, width
        Rows N and features D.
    columns
        Place of each streamed site among those stored.
    stored_sites
        Sites whose scales lie side by side.
    pad_groups
        Scales of a wider site beside these, which are to be ignored.
    """
    rng = np.random.default_rng([rows, width])
    quantizer = QUANTIZERS[encoding]
    groups = quantizer.scale_groups(width)
    scales = (stored_sites, groups + pad_groups) if groups else (0, 0)
    layout = RowLayout(len(columns), quantizer.stored_width(width), quantizer.stored_dtype, *scales)
    buffer = RowBuffer.allocate(rows, layout)
    buffer.origin.sequence_R[:] = np.arange(rows)
    if buffer.scale_RTG is not None:
        buffer.scale_RTG[:] = np.nan
    calibrations: list[Calibration | None] = []
    decoded = []
    for slot, column in enumerate(columns):
        calibration = None
        if quantizer.calibrated:
            calibration = Calibration(
                rng.normal(0, 5, width).astype(np.float32), rng.uniform(0.5, 2, width).astype(np.float32)
            )
        planes = quantizer.encode(rng.normal(0, 20, (rows, width)).astype(np.float32), calibration)
        buffer.values[slot][:] = planes.values_ND
        if buffer.scale_RTG is not None and planes.scale_NG is not None:
            buffer.scale_RTG[:, column, :groups] = planes.scale_NG
        calibrations.append(calibration)
        decoded.append(quantizer.decode(planes, calibration))
    decoding = RowDecoding(quantizer, width, columns, tuple(calibrations))
    return Encoded(buffer, decoding, np.stack(decoded, axis=1))
