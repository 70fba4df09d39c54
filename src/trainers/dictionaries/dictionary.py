"""Base of all dictionaries: shapes, weights and the result of one pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Dictionary", "DictionaryOutput", "FlatWeights", "Role", "Shape", "dense_output"]


class Role(Enum):
    """What a weight is for: its learning rate and its unit follow from that."""

    ENCODER = "encoder"
    """Multiplies rows; has norm about 1 over all sites."""
    ENCODER_BIAS = "encoder bias"
    """In units of an activation, as are thresholds."""
    DECODER = "decoder"
    DECODER_BIAS = "decoder bias"
    """In units of the rows of a site."""
    PROBE = "probe"
    """Reads labels from codes, in training only; has no unit."""
    LOG = "log"
    """A logarithm, or a factor near 1: it has no unit."""


class Shape(NamedTuple):
    """Sizes of a dictionary."""

    sites: int
    """S."""
    width: int
    """Features D of each site."""
    latents: int
    """F."""
    kept: int | None = None
    """Latents K kept for each row, or on average; None for dictionaries whose sparsity comes from a penalty."""


class DictionaryOutput(NamedTuple):
    """One pass over a batch."""

    reconstruction_BSD: Tensor
    fired_F: Tensor
    """int64: number of rows of the batch on which each latent was active."""
    penalty: Tensor | None
    """Sparsity penalty, mean over the batch, without its coefficient; None if there is none."""
    also_BSD: Mapping[str, Tensor] = MappingProxyType({})
    """Further reconstructions that training compares with the rows, by the name of their term of the loss."""
    code_BF: Tensor | None = None
    """The dense code, where the pass has one: always with `Dictionary.keep_code`."""


class FlatWeights(NamedTuple):
    """The weights as two matrices over X = S * D inputs, as views wherever possible.

    A crosscoder is an SAE of the concatenated sites, so the arithmetic of both is that of plain matrix products.
    """

    encoder_XF: Tensor
    encoder_bias_F: Tensor
    decoder_FX: Tensor
    decoder_bias_X: Tensor
    pre_bias_X: Tensor | None = None
    """Subtracted from the inputs before they are encoded; None for nothing."""

    @property
    def folded_bias_F(self) -> Tensor:
        """What is added to ``x @ encoder``, for inputs from which nothing was subtracted.

        ``(x - p) E + b = x E + (b - p E)``: a dense product needs no copy of the batch then, and no gradient of it.
        """
        if self.pre_bias_X is None:
            return self.encoder_bias_F
        return self.encoder_bias_F - self.pre_bias_X @ self.encoder_XF


def dense_output(
    weights: FlatWeights, values_BSD: Tensor, code_BF: Tensor, *, penalty: Tensor | None = None
) -> DictionaryOutput:
    """Return the result of a pass over rows [B, S, D] whose code is dense."""
    reconstruction_BX = torch.addmm(weights.decoder_bias_X, code_BF, weights.decoder_FX)
    return DictionaryOutput(
        reconstruction_BSD=reconstruction_BX.to(values_BSD.dtype).view_as(values_BSD),
        fired_F=torch.count_nonzero(code_BF.detach(), dim=0),
        penalty=penalty,
        code_BF=code_BF,
    )


class Dictionary(nn.Module, ABC):
    """Rows to sparse codes and back. A new one is one file in `kinds` and one row of `table.DICTIONARIES`.

    It is put together of a shape (`shapes`: which weights there are) and a code (`codes`: how pre-activations become a
    code). In training mode a code may depend on the whole batch; in evaluation mode a row has the code that it has
    everywhere.
    """

    one_site: ClassVar[bool]
    """Whether it reads a single site."""
    unit_norm_decoder: ClassVar[bool]
    """Whether training keeps every decoder row at norm 1."""
    keeps_k: ClassVar[bool]
    """Whether it keeps K latents of each row; otherwise a penalty makes it sparse."""
    default_sparsity: ClassVar[float | None] = None
    """Default coefficient of the penalty, for inputs of any scale and any number of sites; None without a penalty."""
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Fields of `TrainConfig` that only some dictionaries take, with the defaults of this one; keywords of
    ``__init__``."""
    keep_code = False
    """Whether passes return the dense code, for terms of the loss that are about codes."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    W_enc: nn.Parameter
    """[(S,) D, F]; in memory the weights of a latent are neighbours, as in the gradients of sparse passes."""
    b_enc: nn.Parameter
    W_dec: nn.Parameter
    b_dec: nn.Parameter

    def roles(self) -> dict[str, Role]:
        """Return the role of each parameter, by its name."""
        return {
            "W_enc": Role.ENCODER,
            "b_enc": Role.ENCODER_BIAS,
            "W_dec": Role.DECODER,
            "b_dec": Role.DECODER_BIAS,
        }

    def targets(self, values_BSD: Tensor) -> Tensor:
        """Return the part of the rows that is reconstructed."""
        return values_BSD

    def before_step(self, share: float) -> None:
        """Prepare for a step of training, before which a share of the rows of the run has been trained on."""

    def after_step(self) -> None:
        """Bring what follows from the weights up to date after they have changed."""

    @classmethod
    def penalty_growth(cls, sites: int) -> float:  # noqa: ARG003 - for overriding
        """Return how much faster the penalty grows with the number of like sites than the norm of a row does."""
        return 1.0

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
        return torch.addmm(weights.decoder_bias_X, code_BF, weights.decoder_FX).reshape(self._shape_of_rows)

    def decoder_norm_FS(self) -> Tensor:
        """Return the norm of each latent's decoder at each site, [F, S]."""
        decoder_FSD = self.flat().decoder_FX.view(self._shape_of_rows)
        norm_FS: Tensor = torch.linalg.vector_norm(decoder_FSD, dim=2)
        return norm_FS

    @property
    def _shape_of_rows(self) -> tuple[int, int, int]:
        return (-1, self.shape.sites, self.shape.width)
