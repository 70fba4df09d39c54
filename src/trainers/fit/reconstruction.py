"""Sums over a batch: the squared error of a reconstruction, and the squared deviations of the rows from their mean."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from trainers.dictionaries.ranks import all_sum, rank_count

__all__ = ["explained_share", "squared_deviation_S", "squared_error_S"]


def squared_error_S(reconstruction_BSD: Tensor, values_BSD: Tensor) -> Tensor:
    """Return the squared error of each site, summed over rows and features."""
    return mse_loss(reconstruction_BSD, values_BSD, reduction="none").sum(dim=(0, 2))


@torch.no_grad()
def squared_deviation_S(values_BSD: Tensor, *, rows: int | None = None) -> Tensor:
    """Return the squared distance of each site's rows from their mean, summed over rows.

    Parameters
    ----------
    rows
        Rows over all ranks: the mean is that of all of them, the sum that over the rows of this rank. None for one
        rank.
    """
    mean_SD = values_BSD.mean(dim=0) if rows is None or rank_count() == 1 else all_sum(values_BSD.sum(dim=0)) / rows
    return (values_BSD - mean_SD).square().sum(dim=(0, 2))


def explained_share(error: float, deviation: float) -> float | None:
    """Return the explained variance, ``1 - error / deviation`` of two sums over the same rows; None if none differ.

    Examples
    --------
    >>> explained_share(1.0, 4.0)
    0.75
    """
    return 1.0 - error / deviation if deviation > 0 else None
