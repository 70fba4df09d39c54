"""`gated-sae`: a sparse autoencoder that decides which latents are active apart from how active they are."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from trainers.dictionaries.dictionary import DictionaryOutput, Role, Shape
from trainers.dictionaries.shapes.sae import Sae

__all__ = ["GatedSae"]

_SPARSITY: Final = 0.06
"""L0 30 and explained variance 0.993 on block 3 of the shipped ESM-2, F = 1,024, after 600 steps of 1,024 rows."""


class GatedSae(Sae):
    """Gated sparse autoencoder (Rajamanoharan et al. 2024, "Improving Dictionary Learning with Gated SAEs").

    With ``h = (x - b_dec) W_enc``, the gate is ``h + b_enc`` (b_gate in the paper) and the magnitude
    ``exp(r_mag) h + b_mag``; a latent has ``relu(magnitude)`` where its gate is above 0. The penalty is the L1 norm of
    ``relu(gate)``. The gate passes no gradient, so it learns from a reconstruction of its own: ``relu(gate)`` decoded
    with the decoder as it is, which gets no gradient of it.

    It is a JumpReLU: with ``pre = exp(r_mag) h + b_mag``, the gate is above 0 exactly where
    ``pre > b_mag - exp(r_mag) b_enc``. Where that threshold is negative, the ReLU decides alone.
    """

    keeps_k = False
    default_sparsity = _SPARSITY

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.b_mag = nn.Parameter(torch.zeros(shape.latents))
        self.r_mag = nn.Parameter(torch.zeros(shape.latents))

    def roles(self) -> dict[str, Role]:
        """Return the role of each parameter."""
        return super().roles() | {"b_mag": Role.ENCODER_BIAS, "r_mag": Role.LOG}

    def encode(self, values_BSD: Tensor) -> Tensor:
        """Return the code [B, F]."""
        return self._paths(values_BSD)[1]

    def forward(self, values_BSD: Tensor) -> DictionaryOutput:
        """Encode and decode [B, S, D]; ``gate`` is the reconstruction of the gate alone."""
        gate_BF, code_BF = self._paths(values_BSD)
        also_BD = torch.addmm(self.b_dec.detach(), gate_BF, self.W_dec.detach())
        return DictionaryOutput(
            reconstruction_BSD=self.decode(code_BF).to(values_BSD.dtype),
            fired_F=torch.count_nonzero(code_BF.detach(), dim=0),
            penalty=gate_BF.to(values_BSD.dtype).mean(dim=0).sum(),
            also_BSD={"gate": also_BD.to(values_BSD.dtype).view_as(values_BSD)},
            code_BF=code_BF if self.keep_code else None,
        )

    def _paths(self, values_BSD: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``relu(gate)`` and the code, both [B, F]."""
        shared_BF = torch.addmm(-(self.b_dec @ self.W_enc), values_BSD.flatten(1), self.W_enc)
        gate_BF = torch.relu(shared_BF + self.b_enc)
        magnitude_BF = torch.relu(shared_BF * torch.exp(self.r_mag) + self.b_mag)
        return gate_BF, torch.where(gate_BF > 0, magnitude_BF, 0)
