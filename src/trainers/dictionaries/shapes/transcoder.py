"""Shapes of a transcoder from one site to another."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from trainers.dictionaries.dictionary import Dictionary, DictionaryOutput, FlatWeights, Role, Shape

__all__ = ["Transcoder"]


class Transcoder(Dictionary):
    """``code = act((x - b_pre) W_enc + b_enc)``, ``y^ = code W_dec + b_dec``, with x at one site and y at another.

    W_enc [D, F], b_enc [F], W_dec [F, D], b_dec [D] (Dunefsky et al. 2024, "Transcoders find interpretable LLM feature
    circuits"). Decoder rows have norm 1. With `skip`, ``y^`` has also ``(x - b_pre) W_skip``, W_skip [D, D] (Paulo et
    al. 2025, "Transcoders beat sparse autoencoders for interpretability"). It precedes the code among the base classes
    of a dictionary, which then sees only the rows that are encoded.

    b_pre [D] is the mean of the rows of x and does not learn: b_enc could hold it, as in the papers, but gradients of
    the encoder are of centred rows this way, as in a sparse autoencoder. Exported weights have it in b_enc and b_dec.
    """

    one_site = True
    unit_norm_decoder = True
    takes_targets = True
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({"skip": False})

    b_pre: Tensor
    W_skip: nn.Parameter | None

    def __init__(self, shape: Shape, *, skip: bool = False, **of_code: Any) -> None:  # noqa: ANN401 - any option
        super().__init__(shape, **of_code)
        if len(shape.read) != 1 or len(shape.written) != 1:
            raise ValueError(
                f"a transcoder reads one site and writes one, not {len(shape.read)} and {len(shape.written)}"
            )
        self.W_enc = nn.Parameter(torch.zeros(shape.latents, shape.width).t())  # see `Dictionary.W_enc`
        self.b_enc = nn.Parameter(torch.zeros(shape.latents))
        self.W_dec = nn.Parameter(torch.zeros(shape.latents, shape.width))
        self.b_dec = nn.Parameter(torch.zeros(shape.width))
        self.W_skip = nn.Parameter(torch.zeros(shape.width, shape.width)) if skip else None
        self.register_buffer("b_pre", torch.zeros(shape.width))

    def roles(self) -> dict[str, Role]:
        """Return the role of each parameter; see `Dictionary.roles`."""
        return super().roles() | ({} if self.W_skip is None else {"W_skip": Role.SKIP})

    def spans(self) -> dict[str, int]:
        """Return 1 for each parameter: all are of one site; see `Dictionary.spans`."""
        return dict.fromkeys(self.roles(), 1)

    def first_weights(self, generator: torch.Generator, mean_SD: Tensor, *, encoder_scale: float) -> None:
        """Fill the weights as those of a sparse autoencoder; the skip starts at zero."""
        super().first_weights(generator, mean_SD, encoder_scale=encoder_scale)
        self.b_enc.zero_()
        self.b_pre.copy_(self.inputs(mean_SD[None]).flatten())

    def flat(self) -> FlatWeights:
        """Return the weights as matrices; see `Dictionary.flat`."""
        return FlatWeights(
            encoder_XF=self.W_enc,
            encoder_bias_F=self.b_enc,
            decoder_FX=self.W_dec,
            decoder_bias_X=self.b_dec,
            pre_bias_X=self.b_pre,
        )

    def encode(self, values_BSD: Tensor) -> Tensor:
        """Return the code [B, F]."""
        return super().encode(self.inputs(values_BSD))  # type: ignore[safe-super] # the code is the next base class

    def forward(self, values_BSD: Tensor) -> DictionaryOutput:
        """Encode rows of both sites [B, S, D] and reconstruct the written one."""
        inputs_BSD = self.inputs(values_BSD)
        output = super().forward(inputs_BSD)  # type: ignore[safe-super]
        if self.W_skip is None:
            return output
        skip_BSD = ((inputs_BSD - self.b_pre) @ self.W_skip).to(values_BSD.dtype)
        return output._replace(
            reconstruction_BSD=output.reconstruction_BSD + skip_BSD,
            also_BSD={name: each_BSD + skip_BSD for name, each_BSD in output.also_BSD.items()},
        )
