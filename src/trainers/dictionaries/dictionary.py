"""What every dictionary is: shapes, weights and the result of one pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Dictionary", "DictionaryOutput", "FlatWeights", "Shape"]


class Shape(NamedTuple):
    """Sizes of a dictionary."""

    sites: int
    """S."""
    width: int
    """Features D of each site."""
    latents: int
    """F."""
    kept: int | None = None
    """Latents K kept for each row; None for dictionaries whose sparsity comes from a penalty."""


class DictionaryOutput(NamedTuple):
    """One pass over a batch."""

    reconstruction_BSD: Tensor
    fired_F: Tensor
    """int64: on how many rows of the batch each latent was active."""
    penalty: Tensor | None
    """Sparsity penalty, mean over the batch, without its coefficient; None where there is none."""


class FlatWeights(NamedTuple):
    """The weights as two matrices over X = S * D inputs, as views wherever possible.

    A crosscoder is an SAE of the concatenated sites, so the arithmetic of both is that of plain matrix products.
    """

    encoder_XF: Tensor
    encoder_bias_F: Tensor
    """What is added to ``x @ encoder``; includes the effect of subtracting b_dec where the dictionary does that."""
    decoder_FX: Tensor
    decoder_bias_X: Tensor


class Dictionary(nn.Module, ABC):
    """Rows to sparse codes and back. A new one is one file and one row of `table.DICTIONARIES`."""

    one_site: ClassVar[bool]
    """Whether it reads a single site."""
    unit_norm_decoder: ClassVar[bool]
    """Whether training keeps every decoder row at norm 1."""
    default_sparsity: ClassVar[float | None]
    """Default coefficient of the penalty, for inputs of mean square norm 1; None where K sets the sparsity."""
    initial_norm: ClassVar[float]
    """Norm of each latent's decoder, over all sites, at the start."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    W_enc: nn.Parameter
    b_enc: nn.Parameter
    W_dec: nn.Parameter
    b_dec: nn.Parameter

    @abstractmethod
    def flat(self) -> FlatWeights:
        """Return the weights as matrices over X = S * D; gradients flow through."""

    @abstractmethod
    def encode(self, values_BSD: Tensor) -> Tensor:
        """Return the code, float32 [B, F], non-negative."""

    @abstractmethod
    def forward(self, values_BSD: Tensor) -> DictionaryOutput:
        """Encode and decode float32 [B, S, D] (scaled as in training)."""

    def decode(self, code_BF: Tensor) -> Tensor:
        """Return the reconstruction [B, S, D] of a dense code."""
        weights = self.flat()
        return torch.addmm(weights.decoder_bias_X, code_BF, weights.decoder_FX).reshape(self._batch_shape)

    def decoder_norm_FS(self) -> Tensor:
        """Return the norm of each latent's decoder at each site, [F, S]."""
        return torch.linalg.vector_norm(self.flat().decoder_FX.reshape(-1, self.shape.sites, self.shape.width), dim=2)

    @property
    def _batch_shape(self) -> tuple[int, int, int]:
        return (-1, self.shape.sites, self.shape.width)
