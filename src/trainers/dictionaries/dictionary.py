"""Base of all dictionaries: shapes, weights and the result of one pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

__all__ = ["Dictionary", "DictionaryOutput", "FlatWeights", "Role", "Shape", "Weights"]


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
    SKIP = "skip"
    """Maps rows of norm about 1 to rows, densely."""
    LOG = "log"
    """A logarithm, or a factor near 1: it has no unit."""
    LOG_THRESHOLD = "log threshold"
    """The logarithm of a threshold, which must keep up with activations that grow."""


class Shape(NamedTuple):
    """Sizes of a dictionary."""

    sites: int
    """S of the rows that the dictionary is given: all that it reads or writes."""
    width: int
    """Features D of each site."""
    latents: int
    """F."""
    kept: int | None = None
    """Latents K kept for each row, or on average; None for dictionaries whose sparsity comes from a penalty."""
    reads: tuple[int, ...] | None = None
    """Which of the sites are encoded; None for all, in their order."""
    writes: tuple[int, ...] | None = None
    """Which of the sites are reconstructed; None for all, in their order."""

    @property
    def read(self) -> tuple[int, ...]:
        """Numbers of the R sites that are encoded."""
        return tuple(range(self.sites)) if self.reads is None else self.reads

    @property
    def written(self) -> tuple[int, ...]:
        """Numbers of the W sites that are reconstructed."""
        return tuple(range(self.sites)) if self.writes is None else self.writes


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
    weight: float = 1.0
    """Weight of the term of each reconstruction."""


class Weights(Protocol):
    """What the arithmetic of a code needs of the weights."""

    @property
    def decoder_bias_X(self) -> Tensor:
        """Added to what the latents write."""
        ...

    def pre(self, values_BX: Tensor) -> Tensor:
        """Return pre-activations [B, F] of the read sites' rows."""
        ...

    def decode(self, code_BF: Tensor) -> Tensor:
        """Return the reconstruction [B, X] of the written sites."""
        ...

    def only(self, latents: Tensor) -> Weights:
        """Return the weights of some latents, by number in rising order, without the decoder's bias."""
        ...

    def layers(self) -> tuple[FlatWeights, ...]:
        """Return matrices, of which each has the next inputs and latents, and writes to the last outputs."""
        ...


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

    def pre(self, values_BX: Tensor) -> Tensor:
        """Return pre-activations; see `Weights.pre`."""
        return torch.addmm(self.folded_bias_F, values_BX, self.encoder_XF)

    def decode(self, code_BF: Tensor) -> Tensor:
        """Return the reconstruction; see `Weights.decode`."""
        return torch.addmm(self.decoder_bias_X, code_BF, self.decoder_FX)

    def only(self, latents: Tensor) -> FlatWeights:
        """Return the weights of some latents; see `Weights.only`."""
        return FlatWeights(
            encoder_XF=self.encoder_XF.index_select(1, latents),
            encoder_bias_F=self.encoder_bias_F.index_select(0, latents),
            decoder_FX=self.decoder_FX.index_select(0, latents),
            decoder_bias_X=torch.zeros_like(self.decoder_bias_X),
            pre_bias_X=self.pre_bias_X,
        )

    def layers(self) -> tuple[FlatWeights, ...]:
        """Return these weights, which read all inputs and write to all outputs; see `Weights.layers`."""
        return (self,)


class Dictionary(nn.Module, ABC):
    """Rows to sparse codes and back. A new one is one file in `kinds` and one row of `table.DICTIONARIES`.

    It is put together of a shape (`shapes`: which weights there are) and a code (`codes`: how pre-activations become a
    code). In training mode a code may depend on the whole batch; in evaluation mode a row has the code that it has
    everywhere.
    """

    one_site: ClassVar[bool]
    """Whether it reads a single site."""
    takes_targets: ClassVar[bool] = False
    """Whether it may write other sites than it reads."""
    each_site_has_latents: ClassVar[bool] = False
    """Whether each site that it reads has latents of its own: F is the sum over them."""
    subtracts_b_dec: ClassVar[bool] = False
    """Whether the decoder's bias is subtracted from rows before they are encoded."""
    unit_norm_decoder: ClassVar[bool]
    """Whether training keeps every decoder row at norm 1."""
    keeps_k: ClassVar[bool]
    """Whether it keeps K latents of each row, or on average; otherwise a penalty makes it sparse."""
    takes_auxk: ClassVar[bool] = False
    """Whether its dead latents learn by AuxK (`fit.auxk`)."""
    needs_whole_batch: ClassVar[bool] = False
    """Whether training on it needs each batch in one pass. Where its loss or its code is about a batch, passes in
    place of one are otherwise each a batch of their own; processes (`ranks`) share one batch in any case."""
    default_sparsity: ClassVar[float | None] = None
    """Default coefficient of the penalty, for inputs of any scale and any number of sites; None without a penalty."""
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Fields of `TrainConfig` that only some dictionaries take, with the defaults of this one; keywords of
    ``__init__``. A class has those of its bases, too."""
    keep_code = False
    """Whether passes return the dense code, for terms of the loss that are about codes."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        given = [vars(base).get("options", {}) for base in reversed(cls.__mro__)]
        cls.options = MappingProxyType({name: default for each in given for name, default in each.items()})

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

    def spans(self) -> dict[str, int]:
        """Return over how many sites the weights of a latent, or a bias, have norm 1 together, by parameter."""
        return dict.fromkeys(self.roles(), self.shape.sites)

    def first_weights(self, generator: torch.Generator, mean_SD: Tensor, *, encoder_scale: float) -> None:
        """Fill the weights: random decoder rows of norm 1, encoder part of the transpose, biases at the mean.

        Parameters
        ----------
        generator
            On the CPU.
        mean_SD
            Mean of the scaled rows of all sites.
        encoder_scale
            The encoder is the transposed decoder times this.
        """
        mean_X = self.targets(mean_SD[None]).flatten()
        decoder_FX = torch.randn(self.shape.latents, len(mean_X), generator=generator)
        decoder_FX = self.constrained_decoder(decoder_FX)
        decoder_FX /= torch.linalg.vector_norm(decoder_FX, dim=1, keepdim=True)
        self.W_dec.copy_(decoder_FX.view_as(self.W_dec))
        self.W_enc.copy_(encoder_scale * decoder_FX.t().reshape(self.W_enc.shape))
        self.b_dec.copy_(mean_X.view_as(self.b_dec))
        if not self.subtracts_b_dec:
            self.b_enc.copy_(-encoder_scale * (decoder_FX @ mean_X))

    def inputs(self, values_BSD: Tensor) -> Tensor:
        """Return the part of the rows that is encoded."""
        return _chosen(values_BSD, self.shape.reads)

    def score_F(self) -> Tensor | None:
        """Return the factor of each activation in the ranking of latents; None ranks by activation."""
        return None

    def threshold_F(self) -> Tensor | None:
        """Return what a ranked pre-activation must exceed in evaluation mode, for a latent to be active; None for 0."""
        return None

    def begin(self, *, spread: float, first_pre: float, seed: int) -> None:
        """Settle what else depends on the rows or draws numbers in training, before the first step.

        Parameters
        ----------
        spread
            Root of the variance of the rows divided by D, all sites together: the unit of activations.
        first_pre
            Standard deviation of the pre-activations of the first weights.
        seed
            Seed of the run.
        """

    def targets(self, values_BSD: Tensor) -> Tensor:
        """Return the part of the rows that is reconstructed."""
        return _chosen(values_BSD, self.shape.writes)

    def before_step(self, share: float) -> None:
        """Prepare for a step of training, before which a share of the rows of the run has been trained on."""

    def constrained_decoder(self, decoder_FX: Tensor) -> Tensor:
        """Return the nearest decoder that this dictionary may have, of one that is drawn at random."""
        return decoder_FX

    def after_backward(self) -> None:
        """Take out of the gradients what the weights may not follow."""

    def after_step(self) -> None:
        """Bring what follows from the weights up to date after they have changed."""

    @classmethod
    def penalty_growth(cls, sites: int) -> float:  # noqa: ARG003 - for overriding
        """Return how much faster the penalty grows with the number of like sites than the norm of a row does."""
        return 1.0

    @classmethod
    def sparsity_of(cls, options: Mapping[str, Any]) -> float | None:  # noqa: ARG003 - for overriding
        """Return the default coefficient of the penalty under these options."""
        return cls.default_sparsity

    @classmethod
    def penalty_unit(cls, sites: int, *, spread: float) -> float:
        """Return the unit of the penalty, for rows that are `spread` from their mean (root mean square)."""
        return cls.penalty_growth(sites) * spread

    @abstractmethod
    def flat(self) -> FlatWeights:
        """Return the weights as matrices over X = S * D; gradients flow through."""

    def weights(self) -> Weights:
        """Return the weights in the form in which products cost least; gradients flow through."""
        return self.flat()

    @abstractmethod
    def encode(self, values_BSD: Tensor) -> Tensor:
        """Return the code, float32 [B, F], non-negative."""

    @abstractmethod
    def forward(self, values_BSD: Tensor) -> DictionaryOutput:
        """Encode and decode float32 [B, S, D] (scaled as in training)."""

    def decode(self, code_BF: Tensor) -> Tensor:
        """Return the reconstruction [B, S, D] of a dense code, of the written sites."""
        return self.weights().decode(code_BF).reshape(self._shape_of_rows)

    def decoder_norm_FS(self) -> Tensor:
        """Return the norm of each latent's decoder at each written site, [F, S]."""
        decoder_FSD = self.flat().decoder_FX.view(self._shape_of_rows)
        norm_FS: Tensor = torch.linalg.vector_norm(decoder_FSD, dim=2)
        return norm_FS

    @property
    def _shape_of_rows(self) -> tuple[int, int, int]:
        return (-1, len(self.shape.written), self.shape.width)


def _chosen(values_BSD: Tensor, sites: tuple[int, ...] | None) -> Tensor:
    """Return the rows of some sites, as a view wherever possible; None for all."""
    if sites is None:
        return values_BSD
    if sites == tuple(range(sites[0], sites[0] + len(sites))):
        return values_BSD[:, sites[0] : sites[0] + len(sites)]
    return values_BSD[:, list(sites)]
