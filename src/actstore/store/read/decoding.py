"""Rows of a buffer to floats, with NumPy: the reference for faster kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Calibration, Float32s, Planes, Quantizer
from actstore.contracts.windows import RowBuffer
from actstore.store.read.manifest import Manifest
from actstore.store.read.selection import StoredColumns

__all__ = ["RowDecoding", "decode_rows"]


@dataclass(frozen=True, slots=True, eq=False)
class RowDecoding:
    """The facts needed to decode the rows of some sites of one width."""

    quantizer: Quantizer
    width: int
    """Features D."""
    site_columns: tuple[int, ...]
    """Index of the scales of each site among those of a row."""
    calibrations: tuple[Calibration | None, ...]
    """For each site; None for encodings without calibration."""

    @classmethod
    def of(cls, manifest: Manifest, columns: StoredColumns) -> Self:
        """Return how the rows of some columns of a store are decoded."""
        frozen = manifest.frozen
        sites = [frozen.sites[index] for index in columns.site_columns]
        return cls(
            frozen.quantizer,
            sites[0].width,
            columns.site_columns,
            tuple(frozen.site_calibration(site.name) for site in sites),
        )

    @property
    def groups(self) -> int:
        """Scales of one row and site."""
        return self.quantizer.scale_groups(self.width)


def decode_rows(
    decoding: RowDecoding, buffer: RowBuffer, take_B: NDArray[np.int64], out_BSD: Float32s | None = None
) -> Float32s:
    """Return rows `take_B` of a buffer as float32 [B, S, D], in new memory or in `out_BSD`."""
    if out_BSD is None and len(buffer.values) == 1:
        return _decode_site(decoding, buffer, take_B, 0)[:, None]
    if out_BSD is None:
        out_BSD = np.empty((len(take_B), len(buffer.values), decoding.width), dtype=np.float32)
    for slot in range(len(buffer.values)):
        out_BSD[:, slot] = _decode_site(decoding, buffer, take_B, slot)
    return out_BSD


def _decode_site(decoding: RowDecoding, buffer: RowBuffer, take_B: NDArray[np.int64], slot: int) -> Float32s:
    scale_BG = None
    if buffer.scale_RTG is not None:
        scale_BG = buffer.scale_RTG[take_B, decoding.site_columns[slot], : decoding.groups]
    return decoding.quantizer.decode(Planes(buffer.values[slot][take_B], scale_BG), decoding.calibrations[slot])
