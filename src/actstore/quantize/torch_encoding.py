"""Rows on the device of the model -> planes and measures on the host.

The same encodings as `quantize.table`, to the bit, and the same measures as `quantize.measure`, to rounding. A GPU
takes one or two milliseconds where sixteen cores of its host take over eighty (docs/decisions/0013), and only encoded
rows cross the bus.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from actstore.contracts.planes import Calibration, Planes, Quantizer
from actstore.errors import ModelError
from actstore.quantize.encoded_rows import BadRow, EncodedRows
from actstore.quantize.floats import FLOAT16_LARGEST
from actstore.quantize.int4 import group_width
from actstore.quantize.measure import Measures
from actstore.quantize.moments import Moments
from actstore.quantize.scales import check_scales, needed

__all__ = ["encode_tensor"]

_BLOCK_VALUES: Final = 1 << 24
"""This number of float32 is 64 MiB; up to six such blocks are in memory at a time."""
_LARGEST_SQUARED: Final = 1e18
"""Squares of larger values, and sums of them, may exceed float32."""
_BFLOAT16_LARGEST: Final = torch.finfo(torch.bfloat16).max
_encoding: Final = threading.Lock()


class _Block(NamedTuple):
    """Some rows, encoded and decoded again."""

    stored_BW: Tensor
    scale_BG: Tensor | None
    decoded_BD: Tensor


class _Calibrated(NamedTuple):
    """A calibration on the device."""

    center_D: Tensor
    channel_D: Tensor
    inverse_D: Tensor


def encode_tensor(values_ND: Tensor, quantizer: Quantizer, calibration: Calibration | None) -> EncodedRows:
    """Encode and measure rows, float32 [N, D], on their device, in blocks; see `quantize.encode.encode_rows`.

    The work runs on the current stream, and the call waits for it. One call works at a time, so that sites that are
    encoded in several threads do not all take memory; the device is no slower.

    Raises
    ------
    NumericsError
        As `encode_rows`.
    ModelError
        If the device has no memory for it.
    """
    with _encoding:
        try:
            return _encoded(values_ND, quantizer, calibration)
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"encoding rows on {values_ND.device} takes {6 * 4 * _BLOCK_VALUES:,} bytes of its memory, which are "
                "not free beside the model and the rows; make tasks smaller (--set store.task_rows=...; this makes "
                "another store), or lower 'model.tokens_per_batch'"
            ) from error


def _encoded(values_ND: Tensor, quantizer: Quantizer, calibration: Calibration | None) -> EncodedRows:
    device, (rows, width) = values_ND.device, values_ND.shape
    encode, calibrated = _ENCODINGS[quantizer.name], None
    if quantizer.calibrated:
        calibration = needed(calibration, encoding=quantizer.name)
        inverse_D = np.float32(1.0) / calibration.channel_D
        calibrated = _Calibrated(
            *(torch.tensor(each, device=device) for each in (calibration.center_D, calibration.channel_D, inverse_D))
        )
    stored_NW: Any = _on_host((rows, quantizer.stored_width(width)), _STORED[quantizer.name], device)
    groups = quantizer.scale_groups(width)
    scale_NG = _on_host((rows, groups), torch.float16, device) if groups else None
    parts: list[_Measured] = []
    most = max(_BLOCK_VALUES // width, 1)
    with torch.inference_mode():
        for start in range(0, rows, most):
            block = slice(start, start + most)
            values_BD = values_ND[block]
            encoded = encode(values_BD, calibrated)
            stored_NW[block].copy_(encoded.stored_BW, non_blocking=True)
            if scale_NG is not None and encoded.scale_BG is not None:
                scale_NG[block].copy_(encoded.scale_BG, non_blocking=True)
            parts.append(_measure(values_BD, encoded.decoded_BD, quantizer.largest))
        if device.type == "cuda":
            torch.cuda.current_stream(device).synchronize()
    bad = _first_bad(values_ND, torch.cat([part.finite_B for part in parts]).cpu().numpy()) if parts else None
    scales = None if scale_NG is None else scale_NG.numpy()
    if bad is None and scales is not None:
        check_scales(scales, start=0, encoding=quantizer.name, most=_MOST_DEVIATIONS[quantizer.name])
    beyond = [part.beyond_B for part in parts if part.beyond_B is not None]
    return EncodedRows(
        Planes(stored_NW.numpy().view(quantizer.stored_dtype), scales),
        _merged(parts, width),
        torch.cat(beyond).cpu().numpy() if beyond else None,
        bad,
    )


def _on_host(shape: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return memory that the device can write directly."""
    return torch.empty(shape, dtype=dtype, pin_memory=device.type == "cuda")


def _first_bad(values_ND: Tensor, finite_N: NDArray[np.bool_]) -> BadRow | None:
    bad = np.flatnonzero(~finite_N)
    if not len(bad):
        return None
    return BadRow(int(bad[0]), values_ND[int(bad[0])].cpu().numpy(), len(bad))


def _float16(values_BD: Tensor, _calibrated: _Calibrated | None) -> _Block:
    stored_BD = values_BD.clamp(-FLOAT16_LARGEST, FLOAT16_LARGEST).half()
    return _Block(stored_BD, None, stored_BD.float())


def _bfloat16(values_BD: Tensor, _calibrated: _Calibrated | None) -> _Block:
    stored_BD = values_BD.clamp(-_BFLOAT16_LARGEST, _BFLOAT16_LARGEST).bfloat16()
    return _Block(stored_BD.view(torch.int16), None, stored_BD.float())


def _int8(values_BD: Tensor, calibrated: _Calibrated | None) -> _Block:
    """`quantize.int8.Int8.encode`."""
    assert calibrated is not None  # noqa: S101 - `encode_tensor` checks it
    z_BD = (values_BD - calibrated.center_D).mul_(calibrated.inverse_D)
    scale_B1 = _round_up(_over(z_BD.abs().amax(dim=1, keepdim=True), 127.0))
    step_B1 = scale_B1.float()
    z_BD.div_(torch.where(step_B1 > 0, step_B1, 1.0)).round_()
    stored_BD = z_BD.to(torch.int8)
    return _Block(stored_BD, scale_B1, _decoded(z_BD.mul_(step_B1), calibrated))


def _int4(values_BD: Tensor, calibrated: _Calibrated | None) -> _Block:
    """`quantize.int4.Int4.encode`."""
    assert calibrated is not None  # noqa: S101 - `encode_tensor` checks it
    rows, width = values_BD.shape
    wide = group_width(width)
    z_BD = (values_BD - calibrated.center_D).mul_(calibrated.inverse_D)
    z_BGC = functional.pad(z_BD, (0, -width % wide)).view(rows, -1, wide)
    above_BG, below_BG = z_BGC.amax(dim=2).clamp_min(0), z_BGC.amin(dim=2).neg().clamp_min(0)
    size_BG = torch.maximum(
        _over(torch.maximum(above_BG, below_BG), 8.5), _over(torch.minimum(above_BG, below_BG), 7.5)
    )
    scale_BG = _round_up(size_BG)
    scale_BG = torch.where(above_BG > below_BG, -scale_BG, scale_BG)
    step_BG1 = scale_BG.float()[:, :, None]
    level_BGC = (z_BGC / torch.where(step_BG1 != 0, step_BG1, 1.0)).round_().clamp_(-8, 7)
    pair_BW2 = (level_BGC + 8).to(torch.uint8).view(rows, -1, 2)
    packed_BW = (pair_BW2[:, :, 0] | (pair_BW2[:, :, 1] << 4))[:, : -(-width // 2)]
    decoded_BD = (level_BGC * step_BG1).view(rows, -1)[:, :width]
    return _Block(packed_BW, scale_BG, _decoded(decoded_BD.contiguous(), calibrated))


def _over(numerator: Tensor, denominator: float) -> Tensor:
    """Divide by a number as IEEE does: on a GPU torch multiplies by the inverse of a plain number."""
    return numerator / torch.full_like(numerator, denominator)


def _round_up(scale: Tensor) -> Tensor:
    """Round non-negative float32 scales to the next float16 that is not smaller, as `quantize.scales.round_up`."""
    rounded = scale.half()
    above = (rounded.view(torch.int16) + 1).view(torch.float16)
    return torch.where(rounded.float() < scale, above, rounded)


def _decoded(z_BD: Tensor, calibrated: _Calibrated) -> Tensor:
    return z_BD.mul_(calibrated.channel_D).add_(calibrated.center_D)


_ENCODINGS: Final[MappingProxyType[str, Callable[[Tensor, _Calibrated | None], _Block]]] = MappingProxyType(
    {"float16": _float16, "bfloat16": _bfloat16, "int8": _int8, "int4": _int4}
)
_STORED: Final = MappingProxyType(
    {"float16": torch.float16, "bfloat16": torch.int16, "int8": torch.int8, "int4": torch.uint8}
)
_MOST_DEVIATIONS: Final = MappingProxyType({"int8": 65504.0 * 127, "int4": 65504.0 * 7.5})


class _Measured(NamedTuple):
    rows: int
    finite_B: Tensor
    beyond_B: Tensor | None
    mean_D: Tensor
    m2_D: Tensor
    norm_sum: Tensor
    max_abs_D: Tensor
    noise_D: Tensor


def _measure(values_BD: Tensor, decoded_BD: Tensor, largest: float) -> _Measured:
    """Measure a block, with sums in float64."""
    rows = len(values_BD)
    magnitude_BD = values_BD.abs()
    max_abs_D = magnitude_BD.amax(dim=0)
    mean_D = values_BD.sum(dim=0, dtype=torch.float64) / rows
    wide_BD = values_BD.double() if bool((max_abs_D > _LARGEST_SQUARED).any()) else values_BD
    return _Measured(
        rows,
        finite_B=magnitude_BD.amax(dim=1).isfinite(),
        beyond_B=(magnitude_BD > largest).sum(dim=1) if np.isfinite(largest) else None,
        mean_D=mean_D,
        m2_D=(wide_BD - mean_D.to(wide_BD.dtype)).square_().sum(dim=0, dtype=torch.float64),
        norm_sum=wide_BD.square().sum(dim=1, dtype=torch.float64).sqrt().sum(),
        max_abs_D=max_abs_D,
        noise_D=(decoded_BD - wide_BD).square_().sum(dim=0, dtype=torch.float64),
    )


def _merged(parts: list[_Measured], width: int) -> Measures:
    def vectors(of: Callable[[_Measured], Tensor]) -> list[NDArray[np.float64]]:
        return [of(part).double().cpu().numpy() for part in parts]

    moments = Moments.merged(
        Moments(part.rows, mean_D, m2_D)
        for part, mean_D, m2_D in zip(
            parts, vectors(lambda part: part.mean_D), vectors(lambda part: part.m2_D), strict=True
        )
    )
    nothing = np.zeros(width)
    return Measures(
        moments or Moments(0, nothing, nothing),
        sum(float(part.norm_sum) for part in parts),
        np.max([nothing, *vectors(lambda part: part.max_abs_D)], axis=0),
        np.sum([nothing, *vectors(lambda part: part.noise_D)], axis=0),
    )
