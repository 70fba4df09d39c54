"""Assumptions of a plan that are not in the recipe."""

from __future__ import annotations

import math
from dataclasses import dataclass

from actstore.budget.hardware import GPUS, UTILISATION
from actstore.budget.prices import DEFAULT_PRICES, Prices
from actstore.budget.trainers import TRAINERS
from actstore.errors import UsageError

__all__ = ["Assumptions"]


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Assumptions of a plan about trainer, GPU and prices.

    Raises
    ------
    UsageError
        If a name is unknown or a number is out of range.
    """

    trainer: str | None = None
    """A row of `TRAINERS`; None for a crosscoder over several sites, or a sparse autoencoder of one."""
    site: str | None = None
    """Site of a sparse autoencoder; None for the last site."""
    latents: int | None = None
    """Dictionary size F; None for `expansion` times the features D of a site."""
    expansion: int = 8
    batch_rows: int = 2048
    gpu: str = "A100"
    """A row of `GPUS`."""
    utilisation: float = UTILISATION
    """Share of the datasheet rate."""
    measured_rate: float | None = None
    """Measured residues/s of the model on one such GPU; replaces datasheet rate and utilisation."""
    chunks_per_get: int = 1
    """Neighbouring chunks that a reader requests at once; more chunks need a larger shuffle buffer."""
    months: float = 3.0
    """Months for which the store is kept."""
    prices: Prices = DEFAULT_PRICES

    def __post_init__(self) -> None:
        if self.trainer is not None and self.trainer not in TRAINERS:
            raise UsageError(f"--trainer {self.trainer}: unknown; choose from {', '.join(TRAINERS)}")
        if self.gpu not in GPUS:
            raise UsageError(
                f"--gpu {self.gpu}: not in the table ({', '.join(GPUS)}); use the nearest, with --measured-rate or "
                "--utilisation, and its price in [gpu] of a --price-file"
            )
        positive = {
            "--latents": self.latents,
            "--expansion": self.expansion,
            "--batch-rows": self.batch_rows,
            "--measured-rate": self.measured_rate,
            "--chunks-per-get": self.chunks_per_get,
        }
        for flag, value in positive.items():
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{flag} must be greater than 0, not {value}")
        if not 0 < self.utilisation <= 1:
            raise UsageError(f"--utilisation is a share of the datasheet rate, in (0, 1], not {self.utilisation}")
        if not (math.isfinite(self.months) and self.months >= 0):
            raise UsageError(f"--months must be 0 or more, not {self.months}")
        self.prices.gpu_hour(self.gpu)

    def flops_per_s(self, dtype: str) -> float:
        """Return the assumed FLOP/s of one GPU in a number format.

        Examples
        --------
        >>> f"{Assumptions().flops_per_s('bfloat16'):.4g}"
        '1.5e+14'
        """
        return GPUS[self.gpu].tflops(dtype) * 1e12 * self.utilisation

    @property
    def gpu_hour(self) -> float:
        """Dollars for an hour of the GPU."""
        return self.prices.gpu_hour(self.gpu)
