"""Which statistics rows of float32 can have: each number alone, and those of one task together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Quantizer

__all__ = ["LARGEST", "MOST_MEAN_NORM", "MOST_MEAN_SQUARE", "contradictions", "statistic_problem"]

LARGEST: Final = float(np.finfo(np.float32).max)
"""Largest magnitude of a value before it is encoded."""
_MOST_WIDTH: Final = 1 << 20
MOST_MEAN_SQUARE: Final = _MOST_WIDTH * LARGEST**2
MOST_MEAN_NORM: Final = MOST_MEAN_SQUARE**0.5
_ROUNDING: Final = 1e-3
"""Relative error allowed where two sums of the same rows are compared; sums are in float64 over blocks of float32."""
_SIGNED: Final = frozenset({"mean"})
_ROUNDED: Final = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
"""Largest relative error of a value that is rounded to an encoding without scales."""
_LEAST: Final = 2.0**-24
"""Spacing of the smallest float16 numbers; more than that of the smallest bfloat16 numbers."""
_MOST_STEP: Final = 65504.0
"""Largest scale, which is the distance of neighbouring levels in deviations of a channel."""


def statistic_problem(name: str, values: NDArray[Any], *, rows: int, width: int) -> str | None:
    """Return why numbers cannot be the statistic of a task, else None.

    Parameters
    ----------
    name
        `count`, `norm_sum`, `saturated`, `mean`, `m2`, `max_abs` or `noise`.
    values
        As stored.
    rows, width
        Rows of the task, and features of its widest site.

    Examples
    --------
    >>> statistic_problem("mean", np.array([0.5, np.nan]), rows=8, width=2)
    'NaN or Inf'
    >>> statistic_problem("noise", np.array([-1.0]), rows=8, width=2)
    'less than 0'
    """
    if not np.isfinite(values).all():
        return "NaN or Inf"
    if name not in _SIGNED and not (values >= 0).all():
        return "less than 0"
    if name == "count":
        return None if (values == rows).all() else f"not {rows:,}"
    most = {
        "saturated": float(rows) * width,
        "norm_sum": rows * MOST_MEAN_NORM,
        "mean": LARGEST,
        "m2": rows * LARGEST**2,
        "max_abs": LARGEST,
        "noise": 4 * rows * LARGEST**2,
    }[name]
    if not (np.abs(values) <= most).all():
        return f"more than {most:.4g}"
    return None


def contradictions(
    arrays: Mapping[str, NDArray[Any]], site: int, *, width: int, quantizer: Quantizer, channel_D: NDArray[Any] | None
) -> Iterator[tuple[str, str]]:
    """Yield which statistics of a site contradict the others, each with the reason.

    Sums of the same rows bound each other: no mean exceeds the largest magnitude, and so on.

    Parameters
    ----------
    arrays
        The statistics of a task by name; each number is possible by itself.
    site, width
        Index and features of the site.
    quantizer, channel_D
        Encoding, and its channel scales if it has any.
    """
    here = slice(width)
    rows, norm_sum = int(arrays["count"][site]), float(arrays["norm_sum"][site])
    mean_D, m2_D = arrays["mean"][site, here], arrays["m2"][site, here]
    largest_D = arrays["max_abs"][site, here].astype(np.float64)
    square_D = m2_D + rows * mean_D**2
    more, less = 1 + _ROUNDING, 1 - _ROUNDING
    if not (np.abs(mean_D) <= largest_D * more).all():
        yield "mean", "a mean exceeds the largest value of its channel"
    elif not (square_D <= rows * largest_D**2 * more).all():
        yield "m2", "a sum of squares exceeds that of the largest value in every row"
    elif not (largest_D**2 <= square_D * more).all():
        yield "max_abs", "the square of a largest value exceeds the sum of all squares of its channel"
    elif not square_D.sum() * less <= norm_sum**2 <= rows * square_D.sum() * more:
        yield "norm_sum", "a sum of norms is not one of rows with these squares"
    saturated = int(arrays["saturated"][site])
    most_D = _most_noise(rows, square_D, quantizer, channel_D)
    if saturated and np.isinf(quantizer.largest):
        yield "saturated", f"not 0, and {quantizer.name} clamps nothing"
    elif not saturated and not (arrays["noise"][site, here] <= most_D * more).all():
        yield "noise", f"more than {quantizer.name} gives"


def _most_noise(
    rows: int, square_D: NDArray[np.float64], quantizer: Quantizer, channel_D: NDArray[Any] | None
) -> NDArray[np.float64]:
    """Return the largest possible sum of squared rounding errors of each channel."""
    relative = _ROUNDED.get(quantizer.name, 2.0**-20)
    least_D = np.full_like(square_D, _LEAST) if channel_D is None else _MOST_STEP * channel_D.astype(np.float64)
    most_D: NDArray[np.float64] = 2 * (relative**2 * square_D + rows * least_D**2)
    return most_D
