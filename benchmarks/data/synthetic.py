"""Synthetic activations: shaped like those of a protein language model, from a seed, a protein at a time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["OUTLIER_SCALE", "SyntheticActivations"]

Float32s = NDArray[np.float32]

OUTLIERS: Final = 4
OUTLIER_SCALE: Final = 50.0
_RANK: Final = 32
_PROTEIN, _RESIDUE, _NOISE = 0.7, 0.6, 0.4
"""Deviations of the three parts; their squares add up to about 1."""
_CHANNEL_SPREAD: Final = 0.5
_LENGTH_SPREAD: Final = 0.5
_LONGEST: Final = 3.0


class _Purpose(IntEnum):
    LENGTHS = 0
    SITE = 1
    FACTORS = 2
    NOISE = 3


@dataclass(frozen=True)
class SyntheticActivations:
    """Rows that look like residual streams, as a pure function of the parameters.

    The row of residue n of protein p at a site is ::

        x_D = channel_D * (bias_D + (0.7 protein_R + 0.6 residue_R) @ basis_RD + 0.4 noise_D)

    `protein_R` (one for each protein) and `residue_R` (one for each residue) are standard normal of rank 32 and the
    same at every site, so that rows of a protein resemble each other and sites are correlated, as in a network.
    `basis_RD` (columns of unit length), `bias_D` (deviation 0.5) and `channel_D` are those of the site; `noise_D` is
    independent everywhere. `channel_D` is log-normal with spread 0.5 and median 1, times 50 in four channels that
    the seed chooses. The largest magnitude stays far below 10,000, well inside float16. There is no sparse structure
    in it: what it is good for is speed, mixing and rounding, and dictionaries only beside each other.

    The protein is the unit of generation: any rows can be had without those before them, and memory is that of the
    longest protein. The same to the bit on one machine; another BLAS may differ in the last bit.

    Parameters
    ----------
    rows
        N, residues of all proteins.
    sites
        S.
    width
        D, the same at every site.
    proteins
        Log-normal lengths, of spread 0.5, none more than three times the median (but for rounding).
    seed
        Another seed is another corpus and another model.

    Examples
    --------
    >>> activations = SyntheticActivations(rows=1000, sites=2, width=16, proteins=7)
    >>> activations.site(1).shape, int(activations.rows_of_protein.sum())
    ((1000, 16), 1000)
    >>> bool((activations.block(0, 300, 500) == activations.site(0)[300:500]).all())
    True
    """

    rows: int = 200_000
    sites: int = 6
    width: int = 1024
    proteins: int = 700
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.proteins <= self.rows:
            raise ValueError(f"proteins must be in 1 .. {self.rows} (rows), not {self.proteins}")

    @cached_property
    def rows_of_protein(self) -> NDArray[np.int64]:
        """Rows of each protein, at least one: int64 [P]."""
        share_P = np.exp(_LENGTH_SPREAD * self._rng(_Purpose.LENGTHS).standard_normal(self.proteins))
        share_P = np.minimum(share_P, _LONGEST)
        end_P = np.rint(np.cumsum(share_P) / share_P.sum() * (self.rows - self.proteins)).astype(np.int64)
        rows_P: NDArray[np.int64] = np.diff(end_P, prepend=0) + 1
        return rows_P

    @cached_property
    def first_row_of_protein(self) -> NDArray[np.int64]:
        """First row of each protein, and the number of rows at the end: int64 [P + 1]."""
        return np.concatenate([[0], np.cumsum(self.rows_of_protein)])

    @cached_property
    def sequence_N(self) -> NDArray[np.int64]:
        """Protein of each row; the rows of a protein are contiguous: int64 [N]."""
        sequence_N: NDArray[np.int64] = np.repeat(np.arange(self.proteins), self.rows_of_protein)
        return sequence_N

    def protein(self, site: int, protein: int) -> Float32s:
        """Return the rows of one protein at one site, float32 [rows of the protein, D]."""
        rows = int(self.rows_of_protein[protein])
        factors = self._rng(_Purpose.FACTORS, protein)
        factor_NR = np.float32(_PROTEIN) * factors.standard_normal(_RANK, dtype=np.float32)
        factor_NR = factor_NR + np.float32(_RESIDUE) * factors.standard_normal((rows, _RANK), dtype=np.float32)
        noise = self._rng(_Purpose.NOISE, site, protein)
        x_ND = noise.standard_normal((rows, self.width), dtype=np.float32)
        x_ND *= np.float32(_NOISE)
        basis_RD, bias_D, channel_D = self._site(site)
        x_ND += factor_NR @ basis_RD
        x_ND += bias_D
        x_ND *= channel_D
        return x_ND

    def block(self, site: int, start: int, stop: int) -> Float32s:
        """Return rows `start` to `stop`, exclusive, at one site: float32 [stop - start, D]."""
        if not 0 <= start < stop <= self.rows:
            raise ValueError(f"rows {start} to {stop} of {self.rows}")
        first_P = self.first_row_of_protein
        first, last = np.searchsorted(first_P, [start, stop - 1], side="right") - 1
        rows_ND = np.concatenate([self.protein(site, protein) for protein in range(first, last + 1)])
        skip = start - int(first_P[first])
        return rows_ND[skip : skip + stop - start]

    def site(self, site: int) -> Float32s:
        """Return all rows at one site: float32 [N, D], in memory."""
        x_ND = np.empty((self.rows, self.width), dtype=np.float32)
        for protein, (start, stop) in enumerate(
            zip(self.first_row_of_protein[:-1], self.first_row_of_protein[1:], strict=True)
        ):
            x_ND[start:stop] = self.protein(site, protein)
        return x_ND

    def outliers(self, site: int) -> NDArray[np.int64]:
        """Return the channels of a site that are fifty times larger, ascending; four, or fewer if D is less."""
        return np.sort(self._rng(_Purpose.SITE, site).permutation(self.width)[:OUTLIERS])

    def _site(self, site: int) -> tuple[Float32s, Float32s, Float32s]:
        if not 0 <= site < self.sites:
            raise ValueError(f"site {site} of {self.sites}")
        return self._sites[site]

    @cached_property
    def _sites(self) -> list[tuple[Float32s, Float32s, Float32s]]:
        """Basis [R, D], bias [D] and channel scale [D] of each site."""
        parts = []
        for site in range(self.sites):
            rng = self._rng(_Purpose.SITE, site)
            outliers = rng.permutation(self.width)[:OUTLIERS]
            basis_RD = rng.standard_normal((_RANK, self.width))
            basis_RD /= np.linalg.norm(basis_RD, axis=0)
            bias_D = 0.5 * rng.standard_normal(self.width)
            channel_D = np.exp(_CHANNEL_SPREAD * rng.standard_normal(self.width))
            channel_D[outliers] *= OUTLIER_SCALE
            parts.append((basis_RD.astype(np.float32), bias_D.astype(np.float32), channel_D.astype(np.float32)))
        return parts

    def _rng(self, purpose: _Purpose, *where: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, purpose, *where])
