"""Which latents of a crosscoder are held to be shared by all sites, or to belong to one."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor

__all__ = ["Partition"]


class Partition(NamedTuple):
    """The latents in order: the shared ones, those of the first site, of the second, ..., then the free ones."""

    shared: int
    """Latents whose decoder is the same at all sites, in the units of training."""
    exclusive: int
    """Latents of each site whose encoder and decoder are 0 at all others."""
    sites: int

    @classmethod
    def of(cls, *, sites: int, latents: int, shared: float = 0, exclusive: float = 0) -> Self:
        """Return the partition of so many latents.

        Parameters
        ----------
        shared, exclusive
            Numbers of latents, or shares of all below 1; `exclusive` for each site.

        Raises
        ------
        ValueError
            If there is one site, they are no whole numbers, or more than all latents.

        Examples
        --------
        >>> Partition.of(sites=2, latents=100, shared=0.1, exclusive=20)
        Partition(shared=10, exclusive=20, sites=2)
        """
        found = cls(_number("shared", shared, latents), _number("exclusive", exclusive, latents), sites)
        if found.held and sites < 2:
            raise ValueError("shared and exclusive latents compare sites, and there is only one; take two or more")
        if found.held > latents:
            raise ValueError(
                f"{found.shared:,} shared latents and {found.exclusive:,} for each of {sites} sites are "
                f"{found.held:,}, of only {latents:,}; lower --shared-latents or --exclusive-latents, "
                "or raise --latents"
            )
        return found

    @property
    def held(self) -> int:
        """Latents that are not free."""
        return self.shared + self.sites * self.exclusive

    def of_site(self, site: int) -> slice:
        """Return the latents that only this site has."""
        first = self.shared + site * self.exclusive
        return slice(first, first + self.exclusive)

    @torch.no_grad()
    def hold_decoder_(self, decoder_FSD: Tensor) -> None:
        """Bring a decoder, or its gradient, to the nearest one that the partition allows, in place."""
        shared = decoder_FSD[: self.shared]
        shared.copy_(shared.mean(dim=1, keepdim=True).expand_as(shared))
        self.hold_encoder_(decoder_FSD)

    @torch.no_grad()
    def hold_encoder_(self, encoder_FSD: Tensor) -> None:
        """Set an encoder, or its gradient, to 0 where exclusive latents have none, in place."""
        for site in range(self.sites):
            own = encoder_FSD[self.of_site(site)]
            own[:, :site] = 0.0
            own[:, site + 1 :] = 0.0

    def discounted(self, price_F: Tensor, factor: float) -> Tensor:
        """Return prices of latents, with those of shared latents times a factor."""
        if not self.shared:
            return price_F
        return torch.cat([price_F[: self.shared] * factor, price_F[self.shared :]])


def _number(name: str, given: float, latents: int) -> int:
    """Return the number of latents that a number or share means."""
    if 0 <= given < 1:
        return round(given * latents)
    if given != int(given) or given < 0:
        raise ValueError(f"{name} latents {given}: give a whole number, or a share below 1")
    return int(given)
