"""Decode stored values without a store, for readers of plain Zarr."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actstore.contracts.planes import Calibration, Float32s, Planes, Quantizer
from actstore.contracts.suggest import did_you_mean
from actstore.errors import UsageError
from actstore.quantize.table import QUANTIZERS

__all__ = ["decode"]


def decode(
    encoding: str,
    values: ArrayLike,
    *,
    scales: ArrayLike | None = None,
    center: ArrayLike | None = None,
    channel: ArrayLike | None = None,
) -> Float32s:
    """Decode rows of one site as they are stored: ``center + channel * scale * q`` for int8 and int4.

    Parameters
    ----------
    encoding
        `float16`, `bfloat16`, `int8` or `int4`: `store.encoding` of the recipe.
    values
        Rows of `sites/<site>/values`, [N, stored width]; bfloat16 as uint16, int4 as uint8 of two values each.
    scales
        Of int8 and int4: the site's column of `scales/row`, [N] or [N, 1], or of `scales/group`, [N, G].
    center, channel
        Of int8 and int4: `sites/<site>/center` and `sites/<site>/channel`, [D].

    Returns
    -------
    ndarray
        float32 [N, D].

    Raises
    ------
    UsageError
        If there is no such encoding, or an array is missing, not needed or of another shape or dtype.

    Examples
    --------
    >>> decode("int8", np.array([[-127, 0, 127]], np.int8), scales=[0.5], center=[1, 1, 1], channel=[1, 1, 2])
    array([[-62.5,   1. , 128. ]], dtype=float32)
    """
    if encoding not in QUANTIZERS:
        raise UsageError(f"no encoding {encoding!r}; use {', '.join(QUANTIZERS)}{did_you_mean(encoding, QUANTIZERS)}")
    quantizer = QUANTIZERS[encoding]
    stored_NW = np.asarray(values)
    if stored_NW.ndim != 2 or stored_NW.dtype != quantizer.stored_dtype.newbyteorder("="):
        raise UsageError(
            f"values of {encoding} are [N, {'D' if encoding != 'int4' else 'D / 2'}] of {quantizer.stored_dtype.name}, "
            f"not {list(stored_NW.shape)} of {stored_NW.dtype}"
        )
    beside = {"scales": scales, "center": center, "channel": channel}
    wrong = [name for name, given in beside.items() if (given is not None) != quantizer.calibrated]
    if wrong:
        raise UsageError(f"{encoding} {'needs' if quantizer.calibrated else 'has no'} {', '.join(wrong)}")
    if not quantizer.calibrated:
        return quantizer.decode(Planes(stored_NW, None))
    calibration = Calibration(_floats("center", center), _floats("channel", channel))
    groups = quantizer.scale_groups(len(calibration.center_D))
    scale_NG = np.asarray(scales, dtype=np.float16)
    planes = Planes(stored_NW, scale_NG.reshape(len(scale_NG), -1)[:, :groups])
    _check_shapes(quantizer, planes, calibration)
    return quantizer.decode(planes, calibration)


def _check_shapes(quantizer: Quantizer, planes: Planes, calibration: Calibration) -> None:
    rows, width = len(planes.values_ND), len(calibration.center_D)
    assert planes.scale_NG is not None  # noqa: S101 - the encoding has scales
    for name, found, wanted in (
        ("values", planes.values_ND.shape, (rows, quantizer.stored_width(width))),
        ("channel", calibration.channel_D.shape, (width,)),
        ("scales", planes.scale_NG.shape, (rows, quantizer.scale_groups(width))),
    ):
        if found != wanted:
            raise UsageError(f"{name} are {list(found)}, and for center [{width}] of {quantizer.name} {list(wanted)}")


def _floats(name: str, given: Any) -> NDArray[np.float32]:  # noqa: ANN401 - whatever NumPy takes
    array = np.asarray(given, dtype=np.float32)
    if array.ndim != 1:
        raise UsageError(f"{name} is [D], not {list(array.shape)}")
    return array
