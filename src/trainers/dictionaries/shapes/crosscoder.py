"""Shapes of a crosscoder over any set of sites."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn

from trainers.dictionaries.dictionary import Dictionary, FlatWeights, Shape
from trainers.dictionaries.shapes.partition import Partition

__all__ = ["SHARED_SPARSITY", "Crosscoder"]

SHARED_SPARSITY: Final = 0.1
"""Mishra-Sharma et al. 2025 take 0.1 to 0.2 of the coefficient, times one norm instead of the sum of two."""


class Crosscoder(Dictionary):
    """``code = act(sum_s x_s W_enc[s] + b_enc)``, ``x^_s = code W_dec[:, s] + b_dec[s]``.

    W_enc [S, D, F], b_enc [F], W_dec [F, S, D], b_dec [S, D]; nothing is subtracted before encoding
    (Lindsey et al. 2024, "Sparse Crosscoders for Cross-Layer Features and Model Diffing").

    Some latents may be designated before training, for comparing models: `Partition` says which. What is held is held
    exactly, in the weights, in their gradients and so in the moments of the optimiser.

    Parameters
    ----------
    shared_latents
        Latents with the same decoder at all sites (Mishra-Sharma et al. 2025, "Insights on Crosscoder Model Diffing").
    exclusive_latents
        For each site, latents that read and write it alone (Jiralerspong and Bricken, "Cross-Architecture Model Diffing
        with Crosscoders").
    shared_sparsity
        Factor of the penalty of shared latents, for dictionaries that have one.

    Raises
    ------
    ValueError
        If they are more than all latents, or there is one site.
    """

    one_site = False
    unit_norm_decoder = False
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({"shared_latents": 0, "exclusive_latents": 0})

    def __init__(
        self,
        shape: Shape,
        *,
        shared_latents: float = 0,
        exclusive_latents: float = 0,
        shared_sparsity: float = SHARED_SPARSITY,
        **options: Any,  # noqa: ANN401 - those of further bases
    ) -> None:
        super().__init__(shape, **options)
        self.partition = Partition.of(
            sites=shape.sites, latents=shape.latents, shared=shared_latents, exclusive=exclusive_latents
        )
        self.shared_sparsity = shared_sparsity
        sites, width, latents = shape.sites, shape.width, shape.latents
        self.W_enc = nn.Parameter(torch.zeros(latents, sites, width).permute(1, 2, 0))  # see `Dictionary.W_enc`
        self.b_enc = nn.Parameter(torch.zeros(latents))
        self.W_dec = nn.Parameter(torch.zeros(latents, sites, width))
        self.b_dec = nn.Parameter(torch.zeros(sites, width))

    def flat(self) -> FlatWeights:
        """Return the weights as matrices; see `Dictionary.flat`."""
        return FlatWeights(
            encoder_XF=self.W_enc.flatten(0, 1),
            encoder_bias_F=self.b_enc,
            decoder_FX=self.W_dec.flatten(1, 2),
            decoder_bias_X=self.b_dec.flatten(),
        )

    def summed_norm_F(self) -> Tensor:
        """Return ``sum_s ||W_dec[i, s]||`` of each latent, without a gradient: how much one unit of it writes."""
        return self.decoder_norm_FS().detach().sum(dim=1)

    def constrained_decoder(self, decoder_FX: Tensor) -> Tensor:
        """Return a decoder as the partition holds it."""
        held_FSD = decoder_FX.clone().view(self._shape_of_rows)
        self.partition.hold_decoder_(held_FSD)
        return held_FSD.view_as(decoder_FX)

    def after_backward(self) -> None:
        """Hold the gradients as the weights are held, so that Adam moves no weight out of the partition."""
        super().after_backward()
        if self.partition.held and self.W_dec.grad is not None and self.W_enc.grad is not None:
            self.partition.hold_decoder_(self.W_dec.grad)
            self.partition.hold_encoder_(self.W_enc.grad.permute(2, 0, 1))

    def after_step(self) -> None:
        """Hold the weights: a last bit may differ between sites, by how the optimiser vectorises."""
        super().after_step()
        if self.partition.held:
            self.partition.hold_decoder_(self.W_dec)
            self.partition.hold_encoder_(self.W_enc.permute(2, 0, 1))

    def price_with_discount_F(self, price_F: Tensor) -> Tensor:
        """Return prices of latents, reduced for those that are shared."""
        return self.partition.discounted(price_F, self.shared_sparsity)
