"""Assumptions of a plan that are not in the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from actstore.access.printable import printable
from actstore.budget.hardware import GPUS, UTILISATION
from actstore.budget.prices import DEFAULT_PRICES, Prices
from actstore.budget.trainers import TRAINERS
from actstore.errors import UsageError

__all__ = ["Assumptions"]

_LEAST_SHARE: Final = 1e-4


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
    machine_flops_per_s: float | None = None
    """Measured rate of this machine, which then has a row of its own; see `planning.machines.measured_flops_per_s`."""
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
        ranges: dict[str, tuple[float | None, float, float]] = {
            "--latents": (self.latents, 1, 1 << 28),
            "--expansion": (self.expansion, 1, 1 << 20),
            "--batch-rows": (self.batch_rows, 1, 1 << 31),
            "--measured-rate": (self.measured_rate, 1e-3, 1e12),
            "--chunks-per-get": (self.chunks_per_get, 1, 1 << 14),
            "--months": (self.months, 0, 12_000),
        }
        for flag, (value, least, most) in ranges.items():
            if value is not None and not least <= value <= most:  # so that NaN is refused
                raise UsageError(f"{flag} must be {least:,} to {most:,}, not {printable(str(value))}")
        if not _LEAST_SHARE <= self.utilisation <= 1:
            raise UsageError(
                f"--utilisation is a share of the datasheet rate, {_LEAST_SHARE} to 1, not {self.utilisation}"
            )
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
