"""Cost of training a dictionary.

A dictionary has an encoder and a decoder. A row costs 2 FLOP for each parameter in the forward pass and 4 in the
backward pass (gradients of weights and of inputs): 6 FLOP for each parameter and row, the usual count (Kaplan et al.
2020, arXiv:2001.08361, section 2.1). All latents are counted, as in a dense decoder. The optimiser, whose cost does not
depend on the batch, and losses on dead latents are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = ["TRAINERS", "TrainerKind", "TrainerShape"]


class TrainerKind(NamedTuple):
    """Facts that determine the shapes of a dictionary."""

    one_site: bool
    """A sparse autoencoder or transcoder reads one site, a crosscoder any number."""
    vectors: int = 1
    """Parameters of each latent beside its rows of encoder and decoder: a bias, and a threshold in JumpReLU."""
    layered: bool = False
    """Whether each site has latents of its own, which write to it and to all later ones."""


TRAINERS: Final[Mapping[str, TrainerKind]] = MappingProxyType(
    {
        "crosscoder": TrainerKind(one_site=False),
        "crosscoder-topk": TrainerKind(one_site=False),
        "crosscoder-batch-topk": TrainerKind(one_site=False),
        "crosscoder-jumprelu": TrainerKind(one_site=False, vectors=2),
        "crosscoder-matryoshka": TrainerKind(one_site=False),
        "crosscoder-l1": TrainerKind(one_site=False),
        "crosscoder-l2": TrainerKind(one_site=False),
        "sae": TrainerKind(one_site=True),
        "topk-sae": TrainerKind(one_site=True),
        "batch-topk-sae": TrainerKind(one_site=True),
        "jumprelu-sae": TrainerKind(one_site=True, vectors=2),
        "matryoshka-sae": TrainerKind(one_site=True),
        "relu-sae": TrainerKind(one_site=True),
        "relu-sae-weighted": TrainerKind(one_site=True),
        "gated-sae": TrainerKind(one_site=True, vectors=3),
        "p-annealing-sae": TrainerKind(one_site=True),
        "transcoder-topk": TrainerKind(one_site=True),
        "transcoder-batch-topk": TrainerKind(one_site=True),
        "transcoder-jumprelu": TrainerKind(one_site=True, vectors=2),
        "clt-topk": TrainerKind(one_site=False, layered=True),
        "clt-batch-topk": TrainerKind(one_site=False, layered=True),
        "clt-jumprelu": TrainerKind(one_site=False, vectors=2, layered=True),
    }
)
"""Keys: names of `trainer read-from-store --dictionary`, and of the two families."""


class TrainerShape(NamedTuple):
    """Sizes of a dictionary."""

    sites: int
    """S."""
    width: int
    """Features D of each site."""
    latents: int
    """F; those of each site, if `layered`."""
    vectors: int = 1
    """As `TrainerKind.vectors`."""
    layered: bool = False
    """As `TrainerKind.layered`."""

    @property
    def parameters(self) -> int:
        """Encoder [S, D, F], decoder [F, S, D], and a bias of each: 2 S D F + F + S D, or more of the F.

        If `layered`, S encoders [D, F], S (S + 1) / 2 decoders [F, D], and biases S F + S D, or more of the S F.

        Examples
        --------
        >>> TrainerShape(sites=24, width=1024, latents=8192).parameters
        402685952
        """
        inputs = self.sites * self.width
        if self.layered:
            decoders = inputs * (self.sites + 1) // 2
            return (inputs + decoders + self.vectors * self.sites) * self.latents + inputs
        return 2 * inputs * self.latents + self.vectors * self.latents + inputs

    @property
    def flops_per_row(self) -> int:
        """Forward and backward: 6 FLOP for each parameter."""
        return 6 * self.parameters
