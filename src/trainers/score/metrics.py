"""Metrics that add up over batches, in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from actstore import errors
from trainers.fit.reconstruction import explained_share

__all__ = ["ExplainedVariance", "LatentUse"]


class ExplainedVariance:
    """1 - FVU, ``FVU = sum ||x - x^||^2 / sum ||x - mean||^2`` with the mean of the added rows.

    Each sum is over all rows and, for `overall`, over all sites; a ratio is taken once, at the end.
    """

    def __init__(self) -> None:
        self._rows = 0

    def add(self, values_BSD: Tensor, reconstruction_BSD: Tensor) -> None:
        """Add a batch of rows and their reconstructions, float32 [B, S, D]."""
        values = values_BSD.double()
        if not self._rows:
            # Sums are taken about the first batch's mean: about zero, a large mean would make the variance inaccurate.
            self._origin_SD = values.mean(dim=0)
            self._sum_SD = torch.zeros_like(self._origin_SD)
            self._square_S = values.new_zeros(values.shape[1])
            self._error_S = values.new_zeros(values.shape[1])
        centred = values - self._origin_SD
        self._rows += len(values)
        self._sum_SD += centred.sum(dim=0)
        self._square_S += centred.square().sum(dim=(0, 2))
        self._error_S += (values - reconstruction_BSD.double()).square().sum(dim=(0, 2))

    def overall(self) -> float | None:
        """Return it over all sites together, each weighted by its scale; None if the rows do not vary.

        Raises
        ------
        NumericsError
            If rows or reconstructions are not finite.
        """
        return _explained(float(self._error_S.sum()), float(self._spread_S().sum()))

    def per_site(self) -> list[float | None]:
        """Return it for each site; raises as `overall`."""
        pairs = zip(self._error_S.tolist(), self._spread_S().tolist(), strict=True)
        return [_explained(error, spread) for error, spread in pairs]

    def _spread_S(self) -> Tensor:
        return self._square_S - self._sum_SD.square().sum(dim=1) / self._rows


class LatentUse:
    """Number of latents active on a row, and of latents that are active on none of the rows."""

    def __init__(self, latents: int) -> None:
        self._fired_F = torch.zeros(latents, dtype=torch.int64)
        self._rows = 0

    def add(self, fired_F: Tensor, *, rows: int) -> None:
        """Add the number of rows on which each latent was active, of a batch of `rows`."""
        self._fired_F += fired_F.cpu()
        self._rows += rows

    @property
    def fired_F(self) -> Tensor:
        """Rows on which each latent was active, int64."""
        return self._fired_F

    @property
    def l0(self) -> float:
        """Mean number of active latents of a row."""
        return float(self._fired_F.sum()) / self._rows

    @property
    def silent_fraction(self) -> float:
        """Share of latents that were active on none of the rows; whether they are dead depends on how many rows."""
        return float((self._fired_F == 0).double().mean())


def _explained(error: float, spread: float) -> float | None:
    if not (math.isfinite(error) and math.isfinite(spread)):
        raise errors.NumericsError(
            f"the squared error of the evaluated rows is {error}, their variance {spread}: rows or reconstructions "
            "hold values that are not finite; check the store with 'actstore verify'"
        )
    return explained_share(error, spread)
