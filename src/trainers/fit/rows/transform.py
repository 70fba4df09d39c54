"""Transforms of each row by itself, and the statistics of the row that undo them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor

__all__ = ["PreparedRows", "RowStatistics", "RowTransform", "prepare_rows", "row_statistics", "transform_of"]

RowTransform = Literal["none", "row-zscore", "row-sqrt-d"]

_ZSCORE_EPSILON: Final = 1e-5
_OF_NORMALISATION: Final[dict[str, RowTransform]] = {"row-zscore": "row-zscore", "row-norm": "row-sqrt-d"}


class RowStatistics(NamedTuple):
    """What a transform of rows takes from each row: ``x = shift + scale * transformed``."""

    shift_BS1: Tensor
    scale_BS1: Tensor


class PreparedRows(NamedTuple):
    """Rows as a dictionary in training sees them."""

    inputs_BSD: Tensor
    scaled_BSD: Tensor
    """The rows before each was transformed: explained variance is of these."""
    statistics: RowStatistics | None
    """What was taken from each row; None for nothing."""

    def undo(self, reconstruction_BSD: Tensor, targets: Callable[[Tensor], Tensor]) -> Tensor:
        """Return a reconstruction of inputs as one of the scaled rows.

        Parameters
        ----------
        targets
            `Dictionary.targets`: which part of the rows it is of.
        """
        if self.statistics is None:
            return reconstruction_BSD
        return targets(self.statistics.shift_BS1) + targets(self.statistics.scale_BS1) * reconstruction_BSD


def transform_of(normalisation: str) -> RowTransform:
    """Return the transform of each row that a normalisation is, `none` for a fixed scale.

    Examples
    --------
    >>> [transform_of(name) for name in ("unit", "row-zscore", "row-norm")]
    ['none', 'row-zscore', 'row-sqrt-d']
    """
    return _OF_NORMALISATION.get(normalisation, "none")


def row_statistics(values_BSD: Tensor, transform: RowTransform) -> RowStatistics | None:
    """Return what `transform` takes from each row and site; None if it takes nothing.

    ``row-zscore`` subtracts the mean over the features and divides by their unbiased standard deviation plus 1e-5
    (the SAEs of ESMC); ``row-sqrt-d`` gives each row the norm sqrt(D) (InterPLM's `normalize_to_sqrt_d`).
    """
    if transform == "row-zscore":
        return RowStatistics(
            values_BSD.mean(dim=2, keepdim=True), values_BSD.std(dim=2, keepdim=True) + _ZSCORE_EPSILON
        )
    if transform == "row-sqrt-d":
        norm_BS1 = torch.linalg.vector_norm(values_BSD, dim=2, keepdim=True) / values_BSD.shape[2] ** 0.5
        return RowStatistics(torch.zeros_like(norm_BS1), norm_BS1.clamp_min(torch.finfo(norm_BS1.dtype).tiny))
    return None


def prepare_rows(values_BSD: Tensor, *, scale_S: Tensor, transform: RowTransform) -> PreparedRows:
    """Scale rows and then transform each of them.

    Parameters
    ----------
    values_BSD
        Rows as the store gives them, on the device of `scale_S`.
    scale_S
        Factor of each site.
    """
    scaled_BSD = values_BSD * scale_S[:, None]
    statistics = row_statistics(scaled_BSD, transform)
    if statistics is None:
        return PreparedRows(scaled_BSD, scaled_BSD, None)
    return PreparedRows((scaled_BSD - statistics.shift_BS1) / statistics.scale_BS1, scaled_BSD, statistics)
